"""What a tuned encoder and a tuned reranker are worth on the test part of their recipe's sets, beside dense and hybrid.

The systems that are compared, on the same questions in the same order:
  retriever   dense and hybrid search, each with the base's query vectors and with those of the adapter
  reranker    the twenty best of dense and of hybrid search, in their own order and in that of the reranker
Differences are paired, with 95 % bootstrap intervals over questions and p-values of a randomisation test. The file
`eval/results/tuned_<which>.json` also holds what the card of the adapter says of its training.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from common import RESULTS, table, versions

from ragkit import Pipeline
from ragkit.evaluation.experiment import Experiment, run_experiment
from ragkit.evaluation.question_sets import QuestionSet, pipeline_over, set_folder, set_questions
from ragkit.evaluation.questions import Question
from ragkit.evaluation.split import in_part
from ragkit.models.adapters import adapter_folder
from ragkit.stages import RerankCrossEncoder, RetrieveDense, RetrieveHybrid
from ragkit.tuning.changes import changes
from ragkit.tuning.recipe import load_recipe

METRICS = ("recall@5", "ndcg@10")
DEPTH = 20
SEARCHES = {"dense": RetrieveDense, "hybrid": RetrieveHybrid}


def systems(which: str, base: Pipeline, tuned: Pipeline) -> dict[str, Pipeline]:
    """Return the systems by name: each search as it is, and tuned.

    Args:
        which: what was tuned, `retriever` or `reranker`.
        base: the recipe's baseline over a set.
        tuned: the recipe's pipeline over the same set.
    """
    found = {}
    for name, search in SEARCHES.items():
        found[name] = Pipeline([search(index=base.index, k=DEPTH)], run=base.settings)
        if which == "retriever":
            steps: list[Any] = [search(index=tuned.index, k=DEPTH)]
        else:
            reranker = tuned.models["judge"]
            steps = [search(index=tuned.index, k=DEPTH), RerankCrossEncoder(reranker=reranker)]
        found[f"{name}, tuned"] = Pipeline(steps, run=base.settings)
    return found


def measure(which: str, own: QuestionSet, folder: Path, questions: Sequence[Question]) -> dict[str, Experiment]:
    """Run all systems over the questions of a set."""
    recipe = load_recipe(Path(f"pipelines/tuning/{which}.yaml"))
    runs = {}
    with (
        pipeline_over(str(recipe.gate.baseline), own, folder) as base,
        pipeline_over(recipe.settings.pipeline, own, folder) as tuned,
        tempfile.TemporaryDirectory() as out,
    ):
        for pipeline in (base, tuned):
            pipeline.prepare()
        for name, pipeline in systems(which, base, tuned).items():
            settings = pipeline.settings.model_copy(update={"metrics": METRICS})
            measuring = Pipeline(pipeline.nodes, name=name.replace(", ", "-"), index=pipeline.index, run=settings)
            runs[name] = run_experiment(measuring, questions, out=Path(out) / measuring.name)
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=("retriever", "reranker"))
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds a folder for each set")
    args = parser.parse_args()
    recipe = load_recipe(Path(f"pipelines/tuning/{args.which}.yaml"))
    found: dict[str, dict[str, Experiment]] = {}
    for name, own in recipe.sets.items():
        folder = set_folder(name, own, args.data)
        found[name] = measure(args.which, own, folder, in_part(set_questions(name, own, folder), "test"))
        print(name, {system: run.summary.overall.metrics["recall@5"].value for system, run in found[name].items()})
    numbers: dict[str, Any] = {}
    lines = [("set, search", "n", "metric", "base", "tuned", "difference", "95 %", "p")]
    for search in SEARCHES:
        pairs = {name: (runs[search], runs[f"{search}, tuned"]) for name, runs in found.items()}
        for name, chosen in [*((name, [pair]) for name, pair in pairs.items()), ("all sets", list(pairs.values()))]:
            changed = changes(chosen)
            numbers.setdefault(name, {})[search] = {metric: asdict(changed[metric]) for metric in METRICS}
            for metric in METRICS:
                one = changed[metric]
                figures = (one.base.value, one.tuned.value, one.difference, one.low, one.high, one.p)
                before, after, moved, low, high, p = (0.0 if value is None else value for value in figures)
                lines.append(
                    (f"{name}, {search}", str(one.n), metric, f"{before:.3f}", f"{after:.3f}", f"{moved:+.3f}",
                     f"{low:+.3f} to {high:+.3f}", f"{p:.3f}")
                )  # fmt: skip
    print(table(lines))
    card = json.loads((adapter_folder(f"embedded:{args.which}") / "ragkit_card.json").read_text(encoding="utf-8"))
    row = {
        "command": f"python eval/bench/tuned_ranking.py {args.which} --data DIR",
        "adapter": {key: card[key] for key in ("command", "base", "data", "training", "versions")},
        "depth": DEPTH,
        "part": "test",
        "packages": versions(),
        "numbers": numbers,
    }
    path = RESULTS / f"tuned_{args.which}.json"
    path.write_text(json.dumps(row, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(path.name)


if __name__ == "__main__":
    main()
