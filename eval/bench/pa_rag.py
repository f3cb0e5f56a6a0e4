"""PA-RAG on the embedded reader: a short run of its stages of preferences, and what each of them does to the answers.

Each stage goes on from the one before, the first one from the embedded reader. What is measured are questions of the
test part that have several golden passages; nothing is trained on that part. Each adapter answers them from golden
passages alone, from golden passages in the midst of noise, and from noise alone, where abstaining is right. The reader
is what the stages are compared with, question by question, and so is the reader with its citations rewritten.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from common import ROOT, table, write_result

from ragkit import Pipeline, Stage, stage
from ragkit.engine.state import Documents
from ragkit.evaluation.judges import CitationJudge, run_judges
from ragkit.evaluation.metrics import parse_metric
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question
from ragkit.evaluation.statistics import bootstrap_interval, mean, paired_test
from ragkit.stages import AnswerRead, AnswerRecite
from ragkit.tuning.builders.pa_rag.scenarios import Mode, documents_for
from ragkit.tuning.builders.pa_rag.slots import slots_of
from ragkit.tuning.builders.pa_rag.tiers import tiers_of
from ragkit.tuning.builders.reader import reader_of
from ragkit.tuning.data import BuildContext
from ragkit.tuning.job import TrainingStep
from ragkit.tuning.recipe import Recipe, load_recipe
from ragkit.tuning.run import prepare, train
from ragkit.tuning.sets import openers

READER = "embedded:reader"
STAGES = ("informativeness", "robustness", "citation")
SHORT = {
    "training.batch_size": 4,
    "training.learning_rate": 1e-4,
    "training.max_length": 704,
    "training.watched": 0,
}
"""What makes the recipes short ones."""
MODES: tuple[Mode, ...] = ("golden", "golden+noise", "no_golden")
METRICS = ("em", "f1", "hit", "support_precision", "support_recall", "support_f1", "abstained")
CITES = ("cites.recall", "cites.precision")
SEED, DEPTH = 0, 30


@stage("bench.given", writes="documents")
class Given(Stage):
    """Give each question the passages that were chosen for it."""

    documents: dict[str, Documents]

    async def run(self, id: str) -> Documents:  # noqa: A002 - the state's field
        return self.documents[id]


def recipe_of(stage_name: str, steps: int, limit: int, start: str) -> Recipe:
    """Return the recipe of a stage, shortened."""
    file = Path("pipelines/tuning") / f"pa_rag_dpo_{stage_name}.yaml"
    sets = load_recipe(file, ["adapter.start=null"]).sets
    changes = SHORT | {"training.steps": steps, "adapter.start": start} | {f"sets.{name}.limit": limit for name in sets}
    return load_recipe(file, [f"{key}={json.dumps(value)}" for key, value in changes.items()])


def trained(recipe: Recipe, folder: Path, data: Path) -> dict[str, Any]:
    """Train a stage; return its data, its curve and the time that it took."""
    curve: list[dict[str, float]] = []

    def keep(step: TrainingStep) -> None:
        curve.append({"step": step.step} | {name: round(value, 5) for name, value in step.metrics.items()})
        print(recipe.name, curve[-1], flush=True)

    start = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    prepared = prepare(recipe, folder, data, lambda *_: None)
    made = time.perf_counter()
    done = train(recipe, prepared, folder, resume=False, on_step=keep, on_progress=lambda *_: None)
    built = json.loads((folder / "built.train.json").read_text())
    seconds = {"rows": made - start, "training": time.perf_counter() - made}
    return {"built": built, "steps": done.steps, **done.figures, "seconds": seconds, "curve": curve}


def answers(
    reader: AnswerRead, further: Sequence[Stage], documents: Mapping[str, Documents], questions: list[Question]
) -> list[PredictionRow]:
    """Return what a reading stage, and those after it, make of given passages."""
    with Pipeline([Given(documents=dict(documents)), reader, *further], name="given") as pipeline:
        return [p.to_row() for p in pipeline.predict([(q.id, q.question) for q in questions])]  # type: ignore[misc]


def scores(questions: list[Question], rows: list[PredictionRow]) -> dict[str, list[float | None]]:
    """Return the value of each metric for each question."""
    found = {name: parse_metric(name).compute(questions, rows) for name in METRICS}
    judged = run_judges({"cites": CitationJudge(containment=True)}, questions, rows).figures
    return found | {name: list(judged[name].values) for name in CITES}


def estimate(values: list[float | None]) -> dict[str, Any]:
    """Return mean, interval and n of the values that there are."""
    known = [value for value in values if value is not None]
    low, high = bootstrap_interval(known) or (None, None)
    return {"value": mean(known), "low": low, "high": high, "n": len(known)}


def given(recipe: Recipe, data: Path) -> tuple[list[Question], dict[Mode, dict[str, Documents]]]:
    """Return test questions of all sets, and the passages of each in each scenario."""
    questions: list[Question] = []
    documents: dict[Mode, dict[str, Documents]] = {mode: {} for mode in MODES}
    sets = openers(recipe, data, lambda *_: None)
    context = BuildContext(sets, recipe.settings.model, SEED, Path(), lambda *_: None)
    for opened in context.sets("test"):
        slots = {q.id: slots_of(q, None) for q in opened.questions if q.answerable}
        tiers = tiers_of(opened, slots, "supporting", DEPTH, context, Counter())
        several = [q for q in opened.questions if q.id in tiers and len(tiers[q.id].golden) > 1]
        questions += several
        for mode, own in documents.items():
            own |= {q.id: documents_for(mode, tiers[q.id], SEED, q.id) for q in several}
    return questions, documents


def compared(own: Mapping[str, list[float | None]], first: Mapping[str, list[float | None]] | None) -> dict[str, Any]:
    """Return each metric's mean, and its difference to the first adapter."""
    found = {name: estimate(values) for name, values in own.items()}
    if first is not None:
        for name, values in own.items():
            found[name]["difference"] = asdict(paired_test(values, first[name]))
    return found


def answered(
    recipe: Recipe,
    adapter: str,
    questions: list[Question],
    documents: Mapping[Mode, Mapping[str, Documents]],
    further: Sequence[Stage] = (),
) -> dict[Mode, dict[str, list[float | None]]]:
    """Return the scores of an adapter's answers in each scenario."""
    name = recipe.settings.model
    changes = [*recipe.overrides, f"models.{name}.adapter={json.dumps(adapter)}"]
    pipeline = Pipeline.load(recipe.settings.pipeline, changes)
    reader = reader_of(pipeline, name)
    return {mode: scores(questions, answers(reader, further, own, questions)) for mode, own in documents.items()}


def shown(numbers: Mapping[str, Mapping[str, Mapping[str, Any]]], names: Sequence[str]) -> str:
    """Return the means as a table."""
    rows = [("adapter, scenario", *names)]
    for adapter, modes in numbers.items():
        for mode, found in modes.items():
            values = [found[name]["value"] for name in names]
            rows.append((f"{adapter}, {mode}", *("-" if value is None else f"{value:.3f}" for value in values)))
    return table(rows)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True, help="a folder for each set")
    arguments.add_argument("--stages", nargs="+", default=STAGES, choices=STAGES)
    arguments.add_argument("--steps", type=int, default=12, help="of each stage")
    arguments.add_argument("--train", type=int, default=30, help="training questions of each set")
    arguments.add_argument("--test", type=int, default=25, help="test questions of each set")
    arguments.add_argument("--out", type=Path, default=ROOT / "runs" / "bench_pa_rag")
    chosen = arguments.parse_args()
    adapters, training = {"reader": READER}, {}
    for name in chosen.stages:
        recipe = recipe_of(name, chosen.steps, chosen.train, list(adapters.values())[-1])
        training[name] = trained(recipe, chosen.out / name, chosen.data)
        adapters[name] = str(chosen.out / name / "adapter")
    recipe = recipe_of(STAGES[0], 1, chosen.test, READER)
    questions, documents = given(recipe, chosen.data)
    found = {name: answered(recipe, adapter, questions, documents) for name, adapter in adapters.items()}
    recited = answered(recipe, READER, questions, documents, [AnswerRecite(containment=True)])
    found = {"reader": found.pop("reader"), "reader, recited": recited} | found
    numbers = {
        name: {mode: compared(own[mode], None if name == "reader" else found["reader"][mode]) for mode in MODES}
        for name, own in found.items()
    }
    print(shown(numbers, (*METRICS, *CITES)))
    settings = {"stages": chosen.stages, "steps": chosen.steps, "questions": len(questions), **SHORT}
    write_result("pa_rag", settings, {"training": training, "answers": numbers}, [])


if __name__ == "__main__":
    main()
