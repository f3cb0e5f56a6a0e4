"""The promotion gate: a tuned model has to beat its base inside the same pipeline, on questions held out of training.

Source: the risk that it guards against, Barnett et al. 2024, Fine-Tuning or Fine-Failing?, arXiv 2406.11201; the gate
itself is ragkit's.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, cast

from pydantic import Field

from ragkit.engine.cache import project_cache
from ragkit.engine.calls import OnProgress
from ragkit.engine.component import Component
from ragkit.engine.nodes import written_by
from ragkit.engine.run import parts
from ragkit.errors import InputError
from ragkit.evaluation.experiment import Experiment, run_experiment
from ragkit.evaluation.judges import Judge, quality_figures
from ragkit.evaluation.metrics import parse_metric
from ragkit.evaluation.metrics.abstention import ConfidencePrecision
from ragkit.evaluation.oracle import OracleMisfitError
from ragkit.evaluation.statistics import CONFIDENCE
from ragkit.evaluation.variants import folder_name
from ragkit.models.base import LanguageModel
from ragkit.pipeline import Pipeline
from ragkit.tuning.changes import Change, Pair, change_of_means, changes
from ragkit.tuning.data import OpenSet
from ragkit.tuning.forgetting import probe

BASE, TUNED = "base", "tuned"
LEVEL = 0.05
Tolerance = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class GateSettings(Component):
    """What a tuned model has to show before it is promoted."""

    metric: str = Field("f1", min_length=1, description="the main metric: the one that has to rise")
    at_least: float = Field(
        0.0,
        allow_inf_nan=False,
        description="promoted only if the mean rise over all sets is above this with 95 % confidence",
    )
    guards: dict[str, Tolerance] = Field(
        {}, description="metrics that must not fall by more than this in any set: `{recall@5: 0.01}`"
    )
    oracles: tuple[str, ...] = Field(
        (), description="also compare with stages replaced by gold: retrieve, retrieve+rerank"
    )
    oracles_decide: bool = Field(False, description="the main metric has to rise with these too, not only be shown")
    limit: int | None = Field(None, ge=1, description="only the first so many test questions of each set")
    baseline: str | None = Field(
        None, description="YAML file of the pipeline that the base answers with, instead of the recipe's own"
    )
    forgetting: bool = Field(True, description="also ask a language model what it could do before (a small probe)")
    tolerated_forgetting: Tolerance | None = Field(
        None, description="no task of the probe may fall by more than this; by default the probe is only shown"
    )

    def check(self, pipeline: Pipeline) -> None:
        """See that the pipeline measures what the gate decides by.

        Raises:
            InputError: a metric is unknown, judges no quality, or needs answers that the pipeline does not write.
        """
        judged = quality_figures(cast("dict[str, Judge]", pipeline.settings.judges), pipeline.models)
        for key, name in (("metric", self.metric), *(("guards", name) for name in self.guards)):
            if name in judged:
                continue
            try:
                metric = parse_metric(name)
            except InputError as error:
                known = f" (the pipeline's judges give: {', '.join(judged)})" if judged else ""
                raise InputError(f"gate.{key}: {error}{known}") from None
            if metric.needs is None:
                raise InputError(f"gate.{key}: decide by a metric of quality; more of '{name}' is not better")
            if metric.needs != "supporting_ids" and "answer" not in written_by(pipeline.nodes):
                raise InputError(
                    f"gate.{key}: '{name}' judges answers, but the pipeline '{pipeline.name}' writes none; "
                    "name a metric of its ranking, such as recall@5 or ndcg@10"
                )

    def metrics(self, pipeline: Pipeline) -> list[str]:
        """Return what is measured: the pipeline's own metrics, the gate's, and how well confidence ranks answers."""
        judged = quality_figures(cast("dict[str, Judge]", pipeline.settings.judges), pipeline.models)
        own = [name for name in (self.metric, *self.guards) if name not in judged]
        if "vars.confidence" in written_by(pipeline.nodes):
            own.append(str(ConfidencePrecision(of="f1")))
        return list(dict.fromkeys([*own, *pipeline.settings.metrics]))


@dataclass(frozen=True, slots=True)
class SetResult:
    """What became of one set.

    Attributes:
        questions: test questions.
        failures: questions that failed with the base and with the tuned model; they count as wrong.
        changes: by metric.
        oracles: the same with stages replaced by gold, by their names.
    """

    questions: int
    failures: tuple[int, int]
    changes: dict[str, Change]
    oracles: dict[str, dict[str, Change]]


@dataclass(frozen=True, slots=True)
class GateResult:
    """The verdict, and everything that it follows from.

    Attributes:
        metric: the main one.
        reasons: why it is promoted, or everything that speaks against it.
        lost: what fell by more than chance, in words, whether or not it decided.
        pooled: changes over the questions of all sets together.
        oracles: the same with stages replaced by gold.
        forgetting: change of each task of the forgetting probe; None where it did not run.
        notes: what a reader of the figures must know.
    """

    metric: str
    promoted: bool
    reasons: list[str]
    lost: list[str]
    sets: dict[str, SetResult]
    pooled: dict[str, Change]
    oracles: dict[str, dict[str, Change]]
    forgetting: dict[str, Change] | None
    notes: list[str]

    def to_json(self) -> str:
        """Return the text of `gate.json`."""
        content = {"confidence": CONFIDENCE, **asdict(self)}
        return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


Openers = Mapping[str, OpenSet]
OnRun = Callable[[str], None]


@dataclass
class _Runs:
    """The runs of both models, and what was noted on the way."""

    settings: GateSettings
    model: str
    out: Path
    on_progress: OnProgress
    on_run: OnRun
    pairs: dict[str, Pair] = field(default_factory=dict)
    oracles: dict[str, dict[str, Pair]] = field(default_factory=dict)
    probes: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)

    def note(self, text: str) -> None:
        self.notes[text] = None

    def run_set(self, name: str, openers: Sequence[OpenSet]) -> None:
        """Run a set's test questions with the base, then with the tuned model."""
        found: list[dict[str, Experiment]] = []
        indexes: list[str | None] = []
        writes = False
        for side, opener in zip((BASE, TUNED), openers, strict=True):
            with opener("test") as opened:
                questions = opened.questions[: self.settings.limit]
                if not questions:
                    self.note(f"{name}: no question of it is in the test part")
                    return
                pipeline = _measuring(opened.pipeline, self.settings.metrics(opened.pipeline))
                self._look_at(pipeline)
                found.append(dict(self._experiments(name, side, pipeline, questions)))
                indexes.append(pipeline.index.fingerprint() if pipeline.index is not None else None)
                model = pipeline.models.get(self.model)
                writes = isinstance(model, LanguageModel)
                if isinstance(model, LanguageModel) and self.settings.forgetting and side not in self.probes:
                    self._probe(side, model, cached=pipeline.settings.cache)
        if indexes[0] != indexes[1] and writes:  # a tuned encoder has an index of its own
            self.note("the two models do not search the same index, so the retrieval is not the same for both")
        base, tuned = found
        self.pairs[name] = (base[""], tuned[""])
        self.oracles[name] = {oracle: (base[oracle], tuned[oracle]) for oracle in base if oracle and oracle in tuned}

    def _experiments(
        self, name: str, side: str, pipeline: Pipeline, questions: Sequence
    ) -> Iterator[tuple[str, Experiment]]:
        for oracle in ("", *self.settings.oracles):
            called = f"{side}, oracle {oracle}" if oracle else side
            self.on_run(f"{name}: {called}")
            try:
                yield (
                    oracle,
                    run_experiment(
                        pipeline,
                        questions,
                        out=self.out / folder_name(name) / folder_name(called),
                        oracle=oracle.split("+") if oracle else (),
                        on_progress=self.on_progress,
                    ),
                )
            except OracleMisfitError as misfit:
                self.note(f"{name}, {side}: {misfit}")

    def _look_at(self, pipeline: Pipeline) -> None:
        model = pipeline.models.get(self.model)
        for name, judge in pipeline.settings.judges.items():
            if any(part is model for part in parts([judge])):
                self.note(f"the judge '{name}' asks the tuned model itself, so it is another one before and after")

    def _probe(self, side: str, model: LanguageModel, *, cached: bool) -> None:
        """Ask a language model what it could do before it was tuned."""
        self.on_run(f"forgetting probe: {side}")
        with project_cache(wanted=cached) as cache:
            found = probe(model, cache=cache, on_progress=self.on_progress)
        self.probes[side] = found.scores
        for task, reason in found.left_out.items():
            self.note(f"forgetting probe: {task} was left out: {reason}")


def run_gate(
    settings: GateSettings,
    base: Openers,
    tuned: Openers,
    *,
    model: str,
    out: Path,
    on_progress: OnProgress = lambda *_: None,
    on_run: OnRun = lambda _: None,
) -> GateResult:
    """Compare a tuned model with its base on the test questions of sets, and decide.

    Each run is a folder `<set>/base` or `<set>/tuned` below `out`; finished ones are taken as they are, unfinished
    ones completed.

    Args:
        settings: what decides.
        base: opens the sets with the pipeline of the base model.
        tuned: opens the same sets with the tuned model in the pipeline.
        model: its name in the pipelines.
        out: the folder of the runs.
        on_progress: told of every long step.
        on_run: told of each run as it begins.

    Raises:
        InputError: no set has a test question, or the settings do not fit the pipelines.
        RagkitError: a model or an index cannot be opened.
    """
    runs = _Runs(settings, model, out, on_progress, on_run)
    for name in tuned:
        runs.run_set(name, (base[name], tuned[name]))
    if not runs.pairs:
        raise InputError(f"none of the sets ({', '.join(tuned)}) has a question in the test part")
    names = dict.fromkeys(oracle for own in runs.oracles.values() for oracle in own)
    sets = {
        name: SetResult(
            questions=len(pair[0].questions),
            failures=(len(pair[0].failures), len(pair[1].failures)),
            changes=changes([pair]),
            oracles={oracle: changes([own]) for oracle, own in runs.oracles[name].items()},
        )
        for name, pair in runs.pairs.items()
    }
    pooled = changes(list(runs.pairs.values()))
    oracles = {name: changes([own[name] for own in runs.oracles.values() if name in own]) for name in names}
    forgetting = _forgotten(runs.probes) if len(runs.probes) == len((BASE, TUNED)) else None
    if runs.probes and forgetting is None:
        runs.note(f"forgetting probe: a pipeline has no model '{model}', so there is nothing to compare")
    against = [*_against(settings, sets, pooled, oracles), *_forgetting_against(settings, forgetting)]
    return GateResult(
        metric=settings.metric,
        promoted=not against,
        reasons=against or [_for(settings, pooled[settings.metric])],
        lost=list(_lost(sets, forgetting)),
        sets=sets,
        pooled=pooled,
        oracles=oracles,
        forgetting=forgetting,
        notes=list(runs.notes),
    )


def _measuring(pipeline: Pipeline, metrics: Sequence[str]) -> Pipeline:
    """Return the pipeline with other metrics."""
    settings = pipeline.settings.model_copy(update={"metrics": tuple(metrics)})
    return Pipeline(pipeline.nodes, name=pipeline.name, models=pipeline.models, index=pipeline.index, run=settings)


def _forgotten(probes: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, Change]:
    base, tuned = probes[BASE], probes[TUNED]
    return {task: change_of_means(values, tuned[task]) for task, values in base.items() if task in tuned}


def _against(
    settings: GateSettings,
    sets: Mapping[str, SetResult],
    pooled: Mapping[str, Change],
    oracles: Mapping[str, Mapping[str, Change]],
) -> Iterator[str]:
    """Yield everything that speaks against a promotion, but what was forgotten."""
    yield from _not_risen(settings, pooled[settings.metric], "")
    if settings.oracles_decide:
        for name in settings.oracles:
            if name not in oracles:
                yield f"nothing could be compared with oracle {name}"
            else:
                yield from _not_risen(settings, oracles[name][settings.metric], f" with oracle {name}")
    for metric, tolerance in settings.guards.items():
        if pooled[metric].difference is None:
            yield f"{metric}, a guard, could be compared on no question"
        for name, result in sets.items():
            change = result.changes[metric]
            if change.difference is not None and change.difference < -tolerance:
                yield f"{metric} fell by {-change.difference:.3f} on {name}; {tolerance:g} is tolerated"


def _not_risen(settings: GateSettings, change: Change, how: str) -> Iterator[str]:
    name = settings.metric
    if change.difference is None:
        yield f"{name}{how} could be compared on no question"
    elif change.low is None:
        yield f"{name}{how} changed by {change.difference:+.3f}, but nothing can be said about how sure that is"
    elif change.low <= settings.at_least:
        yield f"{name}{how} {_in_words(change)}: not surely above {settings.at_least:g}"
    elif settings.at_least >= 0 and change.p is not None and change.p >= LEVEL:
        yield f"{name}{how} {_in_words(change)}, p {change.p:.3f}: too few questions to tell it from chance"


def _for(settings: GateSettings, change: Change) -> str:
    p = "" if change.p is None else ", p < .001" if change.p < 0.001 else f", p {change.p:.3f}"
    return f"{settings.metric} {_in_words(change)}{p}"


def _in_words(change: Change) -> str:
    """Return `rose by 0.120 (95 % interval 0.080 to 0.160, n 400)`."""
    difference = change.difference or 0.0
    verb = f"rose by {difference:.3f}" if difference > 0 else f"fell by {-difference:.3f}" if difference else "stayed"
    interval = "" if change.low is None else f"95 % interval {change.low:+.3f} to {change.high:+.3f}, "
    return f"{verb} ({interval}n {change.n:,})"


def _forgetting_against(settings: GateSettings, forgetting: Mapping[str, Change] | None) -> Iterator[str]:
    tolerance = settings.tolerated_forgetting
    if tolerance is None:
        return
    for task, change in (forgetting or {}).items():
        if change.difference is not None and change.difference < -tolerance:
            yield f"forgetting: {task} fell by {-change.difference:.3f}; {tolerance:g} is tolerated"


def _lost(sets: Mapping[str, SetResult], forgetting: Mapping[str, Change] | None) -> Iterator[str]:
    for name, result in sets.items():
        for metric, change in result.changes.items():
            if change.is_loss:
                yield f"{name}: {metric} {_in_words(change)}"
        for oracle, own in result.oracles.items():
            for metric, change in own.items():
                if change.is_loss:
                    yield f"{name}, oracle {oracle}: {metric} {_in_words(change)}"
    for task, change in (forgetting or {}).items():
        if change.is_loss:
            yield f"forgetting probe: {task} {_in_words(change)}"
