"""Retrieval-aware tuning against its control and against the base, on seeded reports whose answers are known.

A reader of text (tables as Markdown, figures as captions) is trained three times on the same questions: with a mixture
of gold pages, hard and random distractors and missing evidence; with the gold page alone (the control); and with the
pages as they were found and always the answer, as the paper's code does. Each answers questions about reports that
nothing was trained on: from the gold page alone (k = 1), from the gold page and 4 hard distractors (k = 5), and from 5
hard distractors, where abstaining is right. Every model gets the same pages.

The steps of a run are separate, so that each one is short: `--step mixture`, `gold`, `retrieved`, then `evaluate`.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import ROOT, Target, table, write_result
from fact_documents import write_reports

from ragkit import Pipeline, Stage, stage
from ragkit.engine.state import Documents
from ragkit.evaluation.metrics import parse_metric
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question
from ragkit.evaluation.statistics import bootstrap_interval, mean, paired_test
from ragkit.stages import AnswerMultimodal, ContextPages
from ragkit.tuning.builders.retrieval_aware import RetrievalAwareBuilder
from ragkit.tuning.builders.retrieval_aware.builder import Drawn
from ragkit.tuning.builders.stages import stage_with
from ragkit.tuning.data import BuildContext
from ragkit.tuning.job import TrainingStep
from ragkit.tuning.recipe import Recipe, load_recipe
from ragkit.tuning.run import prepare, train
from ragkit.tuning.sets import openers

RECIPES = {
    "mixture": "pipelines/tuning/m_longdoc_retrieval_aware.yaml",
    "gold": "pipelines/tuning/m_longdoc_gold_only.yaml",
    "retrieved": "pipelines/tuning/m_longdoc_retrieval_aware.yaml",
}
CONTEXTS = {
    "k=1": {"pages": "gold"},
    "k=5": {"gold_hard": 1, "gold_random": 0, "absent": 0},
    "absent": {"gold_hard": 0, "gold_random": 0, "absent": 1},
}
METRICS = ("em", "f1", "hit", "abstained", "cited_page")
SETS = '{facts: {documents: ["*.pdf"], questions: questions.jsonl, split: document}}'
REPORTS, ROWS, QUESTIONS, SEED, K = 60, 304, 100, 0, 5


@stage("bench.given_pages", writes="documents")
class GivenPages(Stage):
    """Give each question the pages that were chosen for it."""

    documents: dict[str, Documents]

    async def run(self, id: str) -> Documents:  # noqa: A002 - the state's field
        return self.documents[id]


def recipe_of(kind: str, rows: int, adapter: Path | None = None) -> Recipe:
    changes = [f"sets={SETS}", f"data.most={rows}", f"data.pages={kind}", "training.watched=0"]
    if adapter is not None:
        changes.append(f"models.reader.adapter={json.dumps(str(adapter))}")
    return load_recipe(Path(RECIPES[kind]), changes)


def train_one(kind: str, work: Path, rows: int) -> None:
    """Train one reader; `trained.json` and `curve.json` in its folder say how it went."""
    folder = work / kind
    folder.mkdir(parents=True, exist_ok=True)
    curve: list[dict[str, float]] = []

    def keep(step: TrainingStep) -> None:
        curve.append({"step": step.step} | {name: round(value, 4) for name, value in step.metrics.items()})
        print(kind, curve[-1], flush=True)

    start = time.perf_counter()
    recipe = recipe_of(kind, rows)
    prepared = prepare(recipe, folder, work, lambda *_: None)
    done = train(recipe, prepared, folder, resume=True, on_step=keep, on_progress=lambda *_: None)
    audit = json.loads((folder / "retrieval_aware.facts.train.json").read_text())
    told = {"audit": audit, "steps": done.steps, **done.figures, "seconds_in_all": time.perf_counter() - start}
    (folder / "told.json").write_text(json.dumps(told | {"rows_sha256": prepared.sha256}, indent=2) + "\n")


def contexts(work: Path, limit: int) -> dict[str, list[Drawn]]:
    """Return the questions about reports of the test part with their pages, by the kind of context."""
    recipe = recipe_of("mixture", ROWS)
    opener = openers(recipe, work, lambda *_: None)
    context = BuildContext(opener, "reader", SEED, work, lambda *_: None)
    found = {}
    with opener["facts"]("test") as opened:
        for name, settings in CONTEXTS.items():
            builder = RetrievalAwareBuilder(**settings, most=limit)
            found[name] = builder.draw(opened, "test", K, context)[0]
    return found


def answers(adapter: Path | None, drawn: Sequence[Drawn]) -> list[PredictionRow]:
    """Return what a reader answers from given pages."""
    changes = [] if adapter is None else [f"models.reader.adapter={json.dumps(str(adapter))}"]
    whole = Pipeline.load("pipelines/m_longdoc_text.yaml", changes)
    steps = [stage_with(whole, kind, "reader") for kind in (ContextPages, AnswerMultimodal)]
    given = GivenPages(documents={one.question.id: one.pages for one in drawn})
    with Pipeline([given, *steps], name="given", models={"reader": whole.models["reader"]}) as pipeline:
        return [p.to_row() for p in pipeline.predict([(d.question.id, d.question.question) for d in drawn])]  # type: ignore[misc]


def scores(questions: list[Question], rows: list[PredictionRow]) -> dict[str, list[float | None]]:
    failed = [row["error"] for row in rows if row["error"]]
    if failed:
        raise SystemExit(f"{len(failed)} questions failed, the first with {failed[0]}")
    return {name: list(parse_metric(name).compute(questions, rows)) for name in METRICS}


def estimate(values: Sequence[float | None]) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    low, high = bootstrap_interval(known) or (None, None)
    return {"value": mean(known), "low": low, "high": high, "n": len(known)}


def difference(a: Sequence[float | None], b: Sequence[float | None]) -> dict[str, Any]:
    test = paired_test(a, b)
    return {"difference": test.difference, "low": test.low, "high": test.high, "p": test.p, "n": test.n}


def evaluate(work: Path, limit: int, *, full: bool) -> None:
    drawn = contexts(work, limit)
    readers = {"base": None, "gold": work / "gold/adapter", "mixture": work / "mixture/adapter"}
    readers |= {"retrieved": work / "retrieved/adapter"} if (work / "retrieved/adapter").is_dir() else {}
    found: dict[str, dict[str, dict[str, list[float | None]]]] = {}
    for reader, adapter in readers.items():
        for name, own in drawn.items():
            rows = answers(adapter, own)
            (work / f"answers.{reader}.{name}.json").write_text(json.dumps(rows, indent=1))
            found.setdefault(reader, {})[name] = scores([one.question for one in own], rows)
            print(reader, name, {m: estimate(v)["value"] for m, v in found[reader][name].items()}, flush=True)
    means = {r: {c: {m: estimate(v) for m, v in by.items()} for c, by in of.items()} for r, of in found.items()}
    types = {one.question.id: one.question.type for one in drawn["k=5"]}
    by_type = {
        reader: {
            kind: estimate(
                [v for one, v in zip(drawn["k=5"], of["k=5"]["f1"], strict=True) if types[one.question.id] == kind]
            )
            for kind in sorted(set(types.values()))
        }
        for reader, of in found.items()
    }
    f1 = {reader: of["k=5"]["f1"] for reader, of in found.items()}
    drops = {reader: difference(of["k=1"]["f1"], of["k=5"]["f1"]) for reader, of in found.items()}
    pairs = {
        "mixture - gold": difference(f1["mixture"], f1["gold"]),
        "gold - base": difference(f1["gold"], f1["base"]),
        "mixture - base": difference(f1["mixture"], f1["base"]),
    }
    shown = [("reader", "F1 k=1", "F1 k=5", "hit k=5", "cited k=5", "abstains, absent", "abstains, k=5")]
    for reader, of in means.items():
        cells = [
            of["k=1"]["f1"],
            of["k=5"]["f1"],
            of["k=5"]["hit"],
            of["k=5"]["cited_page"],
            of["absent"]["abstained"],
            of["k=5"]["abstained"],
        ]
        shown.append((reader, *("-" if cell["value"] is None else f"{cell['value']:.3f}" for cell in cells)))
    print(table(shown))
    half = 0.5 * drops["base"]["difference"] - drops["mixture"]["difference"]
    targets = [
        Target("6.2.2: F1 at k=5, retrieval-aware minus gold-only", pairs["mixture - gold"]["difference"], 0),
        Target("6.2.2: F1 at k=5, gold-only minus base", pairs["gold - base"]["difference"], 0),
        Target("6.2.2: half of the base's drop minus the tuned reader's (k=1 to k=5)", half, 0),
        Target("6.2.3: abstains where the evidence is absent", means["mixture"]["absent"]["abstained"]["value"], 0.5),
        Target("6.2.3: abstains where it is there", means["mixture"]["k=5"]["abstained"]["value"], 0.1, "below"),
    ]
    told = {kind: json.loads((work / kind / "told.json").read_text()) for kind in readers if kind != "base"}
    numbers = {
        "means": means,
        "f1_by_type_k5": by_type,
        "differences_f1_k5": pairs,
        "drop_k1_to_k5": drops,
        "training": told,
    }
    settings = {"reports": REPORTS, "rows": ROWS, "questions": limit, "seed": SEED, "k": K}
    write_result("m_longdoc_tuning", settings, numbers, targets, full=full)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=ROOT / "runs/m_longdoc_tuning", help="reports, rows, adapters, answers"
    )
    parser.add_argument("--step", choices=["mixture", "gold", "retrieved", "evaluate"], help="only this one")
    parser.add_argument("--questions", type=int, default=QUESTIONS, help="test questions")
    parser.add_argument("--rows", type=int, default=ROWS, help="training rows")
    given = parser.parse_args()
    if not (given.out / "facts/questions.jsonl").is_file():
        write_reports(given.out / "facts", REPORTS, SEED)
    for kind in RECIPES:
        if given.step in (None, kind):
            train_one(kind, given.out, given.rows)
    if given.step in (None, "evaluate"):
        evaluate(given.out, given.questions, full=(given.questions, given.rows) == (QUESTIONS, ROWS))


if __name__ == "__main__":
    main()
