"""A recipe carried out: rows, training, the comparison with the base, the card."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragkit.config.dump import settings_of, to_data
from ragkit.engine.calls import OnProgress
from ragkit.engine.run_folder import replace_file
from ragkit.errors import InputError
from ragkit.models.secrets import mask_secrets
from ragkit.tuning.card import Card, base_of, write_card
from ragkit.tuning.data import BuildContext, OpenSet
from ragkit.tuning.folder import GATE_RUNS, TuningFolder
from ragkit.tuning.gate import GateResult, OnRun, run_gate
from ragkit.tuning.job import OnStep, Trained, TrainingJob
from ragkit.tuning.recipe import Recipe
from ragkit.tuning.rows import Row, count_by, write_rows
from ragkit.tuning.serving import check_prompts, serving_prompts
from ragkit.tuning.sets import openers

_PROMPTS_LOOKED_AT = 8


@dataclass(frozen=True, slots=True)
class Prepared:
    """The data of a tuning.

    Attributes:
        rows: to train on.
        validation: to watch.
        sha256: of the rows.
        counts: rows by set, and by kind where the builder tells kinds apart.
        selected: what each selector did, by its type.
        warnings: what the checks of the training prompts found.
        sets: open the sets with the base model in the pipeline.
    """

    rows: Sequence[Row]
    validation: Sequence[Row]
    sha256: str
    counts: Mapping[str, Mapping[str, int]]
    selected: Mapping[str, Mapping[str, int]]
    warnings: Sequence[str]
    sets: Mapping[str, OpenSet]


@dataclass(frozen=True, slots=True)
class Tuning:
    """A finished tuning.

    Attributes:
        folder: everything about it; the adapter or model is `adapter/` in it.
        prepared: its data.
        trained: its training.
        gate: the verdict; None if the objective trains something that the gate cannot judge.
    """

    folder: Path
    prepared: Prepared
    trained: Trained
    gate: GateResult | None


def prepare(recipe: Recipe, folder: Path, data: Path | None, on_progress: OnProgress) -> Prepared:
    """Make the rows of a recipe and look at them; they are kept as `rows.jsonl` and `validation.jsonl`.

    Args:
        recipe: the recipe.
        folder: the tuning's own.
        data: the folder that holds a folder for each set.
        on_progress: told of every long step.

    Raises:
        InputError: the sets do not have what the rows are made of.
    """
    sets = openers(recipe, data, on_progress)
    context = BuildContext(sets, recipe.settings.model, recipe.training.seed, folder, on_progress)
    rows = recipe.builder.build("train", context)
    selected: dict[str, dict[str, int]] = {}
    for number, selector in enumerate(recipe.selectors, 1):
        chosen = selector.select(rows, context)
        rows = chosen.rows
        selected[f"{number}. {type(selector).__name__}"] = dict(chosen.reasons)
    if not rows:
        raise InputError(f"{recipe.file}: the data give no training rows{_reasons(selected)}")
    validation = recipe.builder.build("validation", context) if recipe.training.watched else []
    digest = write_rows(folder / "rows.jsonl", rows)
    write_rows(folder / "validation.jsonl", validation)
    counts = {key: count_by(rows, key) for key in ("set", "kind") if any(key in row.origin for row in rows)}
    return Prepared(rows, validation, digest, counts, selected, _warnings(recipe, rows, sets), sets)


def train(
    recipe: Recipe, prepared: Prepared, folder: Path, *, resume: bool, on_step: OnStep, on_progress: OnProgress
) -> Trained:
    """Train on prepared rows, or take the result of a finished training if the tuning is a resumed one.

    Raises:
        InputError: the rows or the settings do not fit the model.
        MissingPackageError: an extra is not installed.
    """
    job = TrainingJob(
        folder=folder,
        model=recipe.model,
        rows=prepared.rows,
        validation=prepared.validation[: recipe.training.watched],
        adapter=recipe.adapter,
        training=recipe.training,
        resume=resume,
        on_step=on_step,
        on_progress=on_progress,
        sets=prepared.sets,
        name=recipe.settings.model,
    )
    done = folder / "trained.json"
    if resume and done.is_file() and job.result.is_dir():
        kept = json.loads(done.read_text(encoding="utf-8"))
        if kept.pop("rows_sha256") == prepared.sha256:
            return Trained(**kept)
    done.unlink(missing_ok=True)
    trained = recipe.objective.train(job)
    kept = {"steps": trained.steps, "figures": trained.figures, "rows_sha256": prepared.sha256}
    replace_file(done, json.dumps(kept, indent=2) + "\n")
    return trained


def setting_of(recipe: Recipe) -> str:
    """Return which setting of the model takes the result: `adapter`, or `model` if it is a whole model."""
    stands_beside = recipe.adapter.type != "full" and "adapter" in type(recipe.model).model_fields
    return "adapter" if stands_beside else "model"


def judge(
    recipe: Recipe, prepared: Prepared, folder: Path, data: Path | None, on_progress: OnProgress, on_run: OnRun
) -> GateResult:
    """Compare the trained model with its base on the test questions, and decide; see `ragkit.tuning.gate`."""
    name, result = recipe.settings.model, folder / "adapter"
    changes = recipe.objective.serving(name, setting_of(recipe), result)
    tuned = openers(recipe, data, on_progress, changes=changes)
    baseline = recipe.gate.baseline
    base = openers(recipe, data, on_progress, pipeline=baseline) if baseline else prepared.sets
    verdict = run_gate(
        recipe.gate, base, tuned, model=name, out=folder / GATE_RUNS, on_progress=on_progress, on_run=on_run
    )
    replace_file(folder / "gate.json", verdict.to_json())
    return verdict


def tune(
    recipe: Recipe,
    folder: Path,
    *,
    data: Path | None = None,
    resume: bool = False,
    command: str = "",
    on_step: OnStep = lambda _: None,
    on_progress: OnProgress = lambda *_: None,
    on_run: OnRun = lambda _: None,
    on_prepared: Callable[[Prepared], None] = lambda _: None,
) -> Tuning:
    """Carry out a recipe: make the rows, train, compare with the base on the test part, write the card.

    Args:
        recipe: the recipe.
        folder: where everything about the tuning goes; its `adapter/` is the result.
        data: the folder that holds a folder for each set.
        resume: go on with what the folder holds already.
        command: what the card names as the command.
        on_step: told of the training's progress.
        on_progress: told of every other long step.
        on_run: told of each run of the gate as it begins.
        on_prepared: told of the rows before the training.

    Raises:
        InputError: the recipe, its sets or the folder are wrong.
        RagkitError: a model or an index cannot be opened.
        KeyboardInterrupt: the tuning was stopped; it goes on with `resume`.
    """
    with TuningFolder(folder, lock_of(recipe), resume=resume) as kept:
        prepared = prepare(recipe, folder, data, on_progress)
        kept.keep_rows(prepared.sha256)
        on_prepared(prepared)
        trained = train(recipe, prepared, folder, resume=resume, on_step=on_step, on_progress=on_progress)
        verdict = None
        if recipe.objective.gated:
            verdict = judge(recipe, prepared, folder, data, on_progress, on_run)
        write_card(folder / "adapter", make_card(recipe, prepared, trained, verdict, command))
    return Tuning(folder, prepared, trained, verdict)


def lock_of(recipe: Recipe) -> dict[str, Any]:
    """Return everything that the result of a recipe depends on beside its rows, and the settings of its gate."""
    plain = described(recipe)
    gate = plain.pop("gate")
    return {
        "recipe": plain,
        "pipeline": mask_secrets(to_data(recipe.pipeline, defaults=True)),
        "base": _base(recipe),
        "gate": gate,
    }


def _base(recipe: Recipe) -> dict[str, Any]:
    """Return what names the model exactly: its weights, or, where no weights change, its fingerprint."""
    if recipe.objective.weights:
        return base_of(recipe.model, recipe.adapter.start)
    return {"model": recipe.settings.model, "fingerprint": recipe.pipeline.models[recipe.settings.model].fingerprint()}


def make_card(recipe: Recipe, prepared: Prepared, trained: Trained, verdict: GateResult | None, command: str) -> Card:
    """Return the card of a tuning."""
    return Card(
        name=recipe.name,
        command=command,
        recipe=described(recipe),
        pipeline=to_data(recipe.pipeline, defaults=True),
        base=_base(recipe),
        data={"sha256": prepared.sha256, "rows": len(prepared.rows), **prepared.counts, "selected": prepared.selected},
        training={"steps": trained.steps, **trained.figures},
        gate=verdict,
        warnings=prepared.warnings,
    )


def described(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as plain data, every setting written out, secrets masked."""
    models, given = recipe.pipeline.models, recipe.data
    parts = {
        "name": recipe.name,
        "sets": {name: settings_of(own, models) for name, own in recipe.sets.items()},
        # What is given stands over what is resolved: it holds the `type` of parts inside parts.
        "data": settings_of(recipe.builder, models) | given["data"],
        "objective": settings_of(recipe.objective, models) | given["objective"],
        "adapter": settings_of(recipe.adapter, models),
        "training": settings_of(recipe.training, models),
        "gate": settings_of(recipe.gate, models),
    }
    if recipe.selectors:
        chosen = zip(recipe.selectors, given["data"]["select"], strict=True)
        parts["data"] = parts["data"] | {"select": [settings_of(one, models) | own for one, own in chosen]}
    plain: dict[str, Any] = mask_secrets({**given, **parts})
    return plain


def _warnings(recipe: Recipe, rows: Sequence[Row], sets: Mapping[str, OpenSet]) -> list[str]:
    """Compare the training prompts with those that the pipeline makes for the first set's questions."""
    if recipe.objective.trains != "model":
        return []
    for opener in sets.values():
        with opener("train") as opened:
            asked = opened.questions[:_PROMPTS_LOOKED_AT]
            return check_prompts(rows, serving_prompts(opened.pipeline, recipe.settings.model, asked))
    return []


def _reasons(selected: Mapping[str, Mapping[str, int]]) -> str:
    told = [f"{name}: {', '.join(f'{n} {why}' for why, n in reasons.items())}" for name, reasons in selected.items()]
    return f" ({'; '.join(told)})" if told else ""
