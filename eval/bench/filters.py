"""What is a Knowledge Filter worth? Its verdicts on passages of questions that no tuning has seen.

For the test part of each question set, and for two kinds of lists: the passages that the set gives along with a
question (gold ones and distractors; where it gives none, there is no such list), and those that the pipeline's own
search finds. Measured are the area under the ROC curve of the probability of entailment, against that of the embedding
cosine on the same passages, and the recall of gold passages with the share of the others that is dropped. The files are
read from --data DIR, a folder for each set. Intervals are percentile bootstraps over questions.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import Target, table, write_result

from ragkit.engine.state import Documents
from ragkit.evaluation.question_sets import QuestionSet, pipeline_over, set_questions
from ragkit.evaluation.split import in_part
from ragkit.models import EvidenceModel
from ragkit.stages import FilterKnowledge
from ragkit.tuning.builders.passages import Pool, pools_of, stages_of
from ragkit.tuning.calls import run_cached
from ragkit.tuning.data import BuildContext, TuningSet
from ragkit.tuning.objectives.evidence import roc_auc

SETS = ("hotpotqa", "musique", "2wikimultihopqa", "nq_open")
PIPELINES = ("pipelines/erm4/evidence.yaml",)
MINILM = "embedded:all-minilm-l6-v2"
DRAWS = 2000
LIMIT = 40
FEWEST = 10  # questions of a list that a target is set for


@dataclass(frozen=True, slots=True)
class Judged:
    """The passages of one question: probabilities of entailment, cosines, whether they are gold, whether kept."""

    probability: np.ndarray
    cosine: np.ndarray
    gold: np.ndarray
    kept: np.ndarray


async def judge(stage: FilterKnowledge, cosine: FilterKnowledge, pool: Pool) -> Judged:
    """Return the verdicts of the filter and the cosines."""

    async def verdicts(of: FilterKnowledge, passages: Documents) -> tuple[list[float], list[bool]]:
        found = (await of.run(pool.question.question, passages))["vars.verdicts"]
        if errors := [verdict.reason for verdict in found if verdict.label == "error"]:
            raise ValueError(errors[0])
        return [float(verdict.probability) for verdict in found], [verdict.label == "entailment" for verdict in found]

    probability, kept = await verdicts(stage, pool.passages)
    similar, _ = await verdicts(cosine, pool.passages)
    return Judged(*map(np.array, (probability, similar, pool.gold, kept)))


def figures(judged: Sequence[Judged]) -> dict[str, dict[str, Any]]:
    """Return the figures of a list of questions, each with its interval."""

    def measure(chosen: Sequence[Judged]) -> dict[str, float]:
        gold = np.concatenate([one.gold for one in chosen])
        kept = np.concatenate([one.kept for one in chosen])
        auc = roc_auc(np.concatenate([one.probability for one in chosen]), gold)
        cosine = roc_auc(np.concatenate([one.cosine for one in chosen]), gold)
        return {
            "auc": auc,
            "cosine auc": cosine,
            "difference": auc - cosine,
            "recall": float(kept[gold].mean()),
            "dropped": float(1 - kept[~gold].mean()),
        }

    draw = np.random.default_rng(0)
    samples = [
        measure([judged[n] for n in draw.integers(0, len(judged), len(judged))])
        for _ in range(DRAWS if len(judged) > 1 else 0)
    ]
    found = {}
    for name, value in measure(judged).items():
        low, high = np.percentile([sample[name] for sample in samples], [2.5, 97.5]) if samples else (None, None)
        found[name] = {"value": value, "low": low, "high": high, "n": len(judged)}
    return found


def measure_set(file: str, name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of a pipeline's filter on a set, by kind of list."""
    folder = arguments.data / name
    corpus = [file for file in ("corpus.jsonl.gz", "corpus.extra.jsonl.gz") if (folder / file).is_file()]
    own = QuestionSet(documents=tuple(corpus), questions="queries.dev.jsonl.gz")
    questions = in_part(set_questions(name, own, folder), "test")[: arguments.limit]
    with pipeline_over(file, own, folder, arguments.set) as pipeline:
        pipeline.prepare()
        opened = TuningSet(name, pipeline, questions)
        (stage,) = stages_of(opened, FilterKnowledge)
        assert isinstance(stage, FilterKnowledge)
        cosine = FilterKnowledge(nli=EvidenceModel(model=MINILM), title=True)
        context = BuildContext({}, "filter", 0, folder, lambda *step: None)
        found: dict[str, Any] = {}
        pools = [pool for pools in pools_of(opened, arguments.k, context) for pool in pools]
        for kind in ("given", "found"):
            # A list of one kind of passages alone has no curve, but takes part in that of all questions.
            chosen = [pool for pool in pools if pool.origin == kind]
            if not any(any(pool.gold) for pool in chosen):
                continue
            outcomes = run_cached([partial(judge, stage, cosine, pool) for pool in chosen], f"{name}: {kind}", context)
            judged = [outcome.value for outcome in outcomes if outcome.error is None]
            found[kind] = figures(judged) | {"failed": len(outcomes) - len(judged)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with a folder for each set")
    parser.add_argument("--pipelines", nargs="*", default=PIPELINES, help="pipelines with a filter")
    parser.add_argument("--set", action="append", default=[], help="change of the pipeline, models.filter.adapter=DIR")
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--k", type=int, default=30, help="passages that are found for a question")
    parser.add_argument("--limit", type=int, default=LIMIT, help="test questions of each set")
    arguments = parser.parse_args()
    numbers = {
        Path(file).stem: {name: measure_set(file, name, arguments) for name in arguments.sets}
        for file in arguments.pipelines
    }
    rows: list[tuple[str, ...]] = [("filter, set and list", "n", "AUC", "cosine", "recall", "dropped")]
    targets = []
    for label, sets in numbers.items():
        for name, kinds in sets.items():
            for kind, found in kinds.items():
                shown = [f"{found[key]['value']:.3f}" for key in ("auc", "cosine auc", "recall", "dropped")]
                rows.append((f"{label}, {name}, {kind}", str(found["auc"]["n"]), *shown))
        for name in ("hotpotqa", "musique"):
            for kind, found in sets.get(name, {}).items():
                if found["auc"]["n"] < FEWEST:
                    continue
                where = f"{label}, {name}, {kind}"
                targets += [
                    Target(f"{where}: AUC above the cosine's", found["difference"]["value"], 0.05),
                    Target(f"{where}: AUC", found["auc"]["value"], 0.9),
                    Target(f"{where}: recall of gold passages", found["recall"]["value"], 0.9),
                    Target(f"{where}: other passages dropped", found["dropped"]["value"], 0.5),
                ]
    print(table(rows))
    settings = {"pipelines": list(arguments.pipelines), "k": arguments.k, "part": "test", "limit": arguments.limit}
    full = arguments.limit == LIMIT and tuple(arguments.sets) == SETS
    write_result("filters", settings, numbers, targets, full=full)


if __name__ == "__main__":
    main()
