"""Does REBEL put the intended passages on top? Candidates that differ only in planted date, authority and depth.

With an oracle, a scripted model that scores every passage by its planted grades, the right three have to come out on
top every time, however it is asked: the composite, the numbering, the batches and the orders are ragkit's. The
embedded model is asked the same and reported as it is: how often the three are exactly right (by chance 1 of 120) and
how many of them are found (by chance 3 of 10).
"""

import argparse
import json
import re
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from common import Target, table, write_result
from planted import BEST, CRITERIA, HALF_LIFE_YEARS, PUBLISHERS, Planted, planted

from ragkit import Passage, Stage, stage
from ragkit.engine.cache import CallCache
from ragkit.engine.nodes import as_node
from ragkit.engine.run import Asked, run_questions
from ragkit.evaluation.statistics import bootstrap_interval
from ragkit.models import ScriptedModel, TransformersModel
from ragkit.models.base import LanguageModel
from ragkit.stages import RerankRebel

QUERIES, MODEL_QUERIES = 200, 16
RUBRIC = [
    {
        "name": "recency",
        "definition": "how recent the date of the passage is",
        "high": "this year",
        "low": "no date",
        "about": "date",
    },
    {
        "name": "authority",
        "definition": "how far its source can be relied on",
        "high": "a standards body",
        "low": "an unknown author",
        "about": "source",
    },
    {
        "name": "depth",
        "definition": "how much it says beyond the bare answer",
        "high": "five further sentences",
        "low": "the answer alone",
    },
]
BY_METADATA = {"date": {"half_life_years": HALF_LIFE_YEARS}, "source": {"field": "publisher", "grades": PUBLISHERS}}
FIXED: dict[str, Any] = {"mode": "one_turn", "criteria": RUBRIC}
ORACLE: dict[str, dict[str, Any]] = {
    "two turns, a list of ten": {"mode": "two_turn"},
    "one turn, lists of four": {**FIXED, "batch": 4},
    "one turn, three orders": {**FIXED, "permutations": 3},
    "one turn, passage by passage": {**FIXED, "scoring": "pointwise"},
    "one turn, digits": {**FIXED, "scoring": "expected"},
    "one turn, lines with final scores": {**FIXED, "form": "lines"},
    "date and source by metadata": {**FIXED, **BY_METADATA},
}
MODEL: dict[str, dict[str, Any]] = {
    "digits": {**FIXED, "scoring": "expected"},
    "digits, date and source by metadata": {**FIXED, **BY_METADATA, "scoring": "expected"},
    "a list of ten": {**FIXED, "min_keep": BEST},
    "two turns, a list of ten": {"mode": "two_turn", "min_keep": BEST},
}

_PASSAGE = re.compile(r"^Passage(?: (\d+))?: (\{.*\})$", re.MULTILINE)
_CRITERION = re.compile(r"^Criterion: (\w+),", re.MULTILINE)


@stage("bench.candidates", writes="documents")
class Candidates(Stage):
    """Hand on the candidates that a question brings."""

    async def run(self, candidates: tuple[Passage, ...]) -> tuple[Passage, ...]:
        return candidates


def oracle(questions: Sequence[Planted]) -> Callable[[str], str]:
    """Return what answers a prompt with the planted grades of the passages in it."""
    known = {
        _key(p.metadata | {"text": p.page_content}): each.grades[p.id] for each in questions for p in each.passages
    }

    def reply(prompt: str) -> str:
        seen = [(number, known[_key(json.loads(shown))]) for number, shown in _PASSAGE.findall(prompt)]
        if not seen:
            return json.dumps({"criteria": [item | {"weight": 0.5} for item in RUBRIC]})
        if criterion := _CRITERION.search(prompt):
            ((_, grades),) = seen
            return str(grades[criterion[1]])
        asked = [name for name in CRITERIA if f"\n{name}, 0 to 5:" in prompt]
        if "Doc: 9, Relevance: 7" in prompt:
            finals = [(n, 2 * g["relevance"] + 0.5 * sum(g[name] for name in CRITERIA)) for n, g in seen]
            return "\n".join(f"Doc: {n}, Relevance: {final}" for n, final in finals)
        rows = [
            {"number": int(n), "relevance": 2 * g["relevance"], "scores": {name: g[name] for name in asked}}
            for n, g in seen
        ]
        return json.dumps({"passages": rows})

    return reply


def _key(shown: dict[str, Any]) -> str:
    return "\n".join(str(shown.get(field)) for field in ("publisher", "date", "text"))


def accuracy(
    model: LanguageModel, settings: dict[str, Any], questions: Sequence[Planted], cache: CallCache | None = None
) -> dict[str, Any]:
    """Return how many of the intended passages are among the first three, and what it took."""
    stage = RerankRebel(model=model, k=BEST, show=("publisher", "date"), passage_tokens=None, **settings)
    asked = [Asked(str(n), each.question, {"candidates": each.passages}) for n, each in enumerate(questions)]
    done = run_questions([as_node(Candidates()), as_node(stage)], asked, cache=cache)
    assert all(prediction.error is None for prediction in done), next(p.error for p in done if p.error)
    hits = [
        len({p.id for p in prediction.documents} & each.best) for prediction, each in zip(done, questions, strict=True)
    ]
    exact, found = [float(hit == BEST) for hit in hits], [hit / BEST for hit in hits]
    usage = [prediction.usage for prediction in done]
    return {
        "n": len(questions),
        "all three": statistics.fmean(exact),
        "all three, 95 %": bootstrap_interval(exact),
        "found": statistics.fmean(found),
        "found, 95 %": bootstrap_interval(found),
        "calls": statistics.fmean(meter.model_calls for meter in usage),
        "tokens": statistics.fmean(meter.tokens for meter in usage),
        "seconds": statistics.fmean(meter.seconds for meter in usage),
        "flagged": sum(bool(prediction.flags) for prediction in done),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=QUERIES)
    parser.add_argument(
        "--model-queries", type=int, default=MODEL_QUERIES, help="for the embedded model; 0 leaves it out"
    )
    parser.add_argument(
        "--data", type=Path, help="a folder with corpus.jsonl.gz and queries.dev.jsonl.gz, instead of the field guide"
    )
    parser.add_argument("--adapter", help="a tuned adapter of the embedded model, reported beside it")
    parser.add_argument("--cache", type=Path, help="keeps what the embedded model answered, to go on after a stop")
    args = parser.parse_args()
    cache = CallCache(args.cache) if args.cache else None
    questions = planted(args.queries, args.data)
    asked = Random(7).sample(questions, min(args.model_queries, len(questions)))  # no recipe trains on the field guide
    numbers: dict[str, Any] = {}
    for name, settings in ORACLE.items():
        numbers[f"oracle: {name}"] = accuracy(ScriptedModel(reply=oracle(questions)), settings, questions)
    worst = min(figures["all three"] for figures in numbers.values())
    models = {"embedded": None} | ({"tuned": args.adapter} if args.adapter else {})
    for kind, adapter in models.items() if args.model_queries else ():
        model = TransformersModel(model="embedded:smollm2-135m-instruct", adapter=adapter)
        for name, settings in MODEL.items():
            numbers[f"{kind}: {name}"] = accuracy(model, settings, asked, cache)
            print(name, numbers[f"{kind}: {name}"], flush=True)
    rows = [("scorer", "n", "all three", "found", "calls", "tokens", "seconds", "flagged")]
    for name, figures in numbers.items():
        values = [f"{figures[key]:.3f}" for key in ("all three", "found")]
        costs = [f"{figures[key]:.1f}" for key in ("calls", "tokens")]
        rows.append((name, str(figures["n"]), *values, *costs, f"{figures['seconds']:.3f}", str(figures["flagged"])))
    print(table(rows))
    settings = {
        "queries": len(questions),
        "model_queries": args.model_queries,
        "chance": {"all three": 1 / 120, "found": 0.3},
    }
    full = args.queries == QUERIES and args.model_queries in (0, MODEL_QUERIES) and args.data is None
    write_result("rebel_oracle", settings, numbers, [Target("oracle: all three on top", worst, 1.0)], full=full)


if __name__ == "__main__":
    main()
