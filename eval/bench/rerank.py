"""Reranking through the engine: 1,000 questions with 20 passages each, and what a second turn costs.

Batches: a scripted model takes at most 64 prompts at once, and each reranker that asks a language model sends its calls
through the engine; `fill` is the mean share of 64 over all batches, the last ones of each queue included, and the time
is that of the run per question, in which the model itself takes next to none. Cache: the same questions with other
candidates, which should need no turn 1 again. Turns: the embedded language model scores the same candidates in one turn
and in two; the figures are seconds of computing per question.
"""

import argparse
import json
import re
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from common import Target, table, write_result
from rebel_oracle import Candidates
from texts import passages

from ragkit import Passage
from ragkit.engine.cache import CallCache
from ragkit.engine.calls import Reply
from ragkit.engine.nodes import as_node
from ragkit.engine.run import Asked, run_questions
from ragkit.engine.stage import Stage
from ragkit.models import ScriptedModel, TransformersModel
from ragkit.stages import RerankListwise, RerankRebel

QUESTIONS, CANDIDATES, BATCH = 1000, 20, 64
CACHED_QUESTIONS = 100
TURN_1 = "You see only the query"
TURN_QUESTIONS, TURN_CANDIDATES = 4, 10

_NUMBERED = re.compile(r"^(?:Passage |\[)(\d+)", re.MULTILINE)
_CRITERION = re.compile(r"^([\w ]+), 0 to 5:", re.MULTILINE)


def reply(prompt: str) -> str:
    """Answer any prompt of the rerankers: three criteria, middling scores, or the order turned round."""
    if TURN_1 in prompt:
        item = {"high": "very", "low": "not", "weight": 0.5}
        return json.dumps({"criteria": [{"name": n, "definition": n} | item for n in ("exact", "recent", "sober")]})
    numbers = [int(number) for number in _NUMBERED.findall(prompt)]
    if '"ranking"' in prompt:
        return json.dumps({"ranking": numbers[::-1]})
    if not numbers:
        return "3"
    scores = dict.fromkeys(_CRITERION.findall(prompt), 3)
    return json.dumps({"passages": [{"number": n, "relevance": n % 11, "scores": scores} for n in numbers]})


class Unchecked(ScriptedModel):
    """Does not look whether its replies follow their schema, which would take longer than all the rest."""

    def _generate(self, prompt: str, args: dict[str, Any]) -> Reply:
        return super()._generate(prompt, {name: value for name, value in args.items() if name != "schema"})


def asked(questions: int, candidates: int, texts: list[str]) -> list[Asked]:
    """Return questions that bring candidates of their own."""
    made = []
    for number in range(questions):
        chosen = [texts[(number * 7 + step * 13) % len(texts)] for step in range(candidates)]
        documents = tuple(Passage(id=f"{number}-{n}", page_content=text) for n, text in enumerate(chosen))
        made.append(Asked(str(number), f"What does number {number} say about wheat?", {"candidates": documents}))
    return made


def fill(
    stage: Stage, model: ScriptedModel, questions: list[Asked], cache: CallCache | None = None
) -> dict[str, float]:
    """Return how full the batches of a run were, and its seconds per question."""
    start = time.perf_counter()
    done = run_questions([as_node(Candidates()), as_node(stage)], questions, cache=cache)
    seconds = time.perf_counter() - start
    assert all(prediction.error is None for prediction in done), next(p.error for p in done if p.error)
    calls, batches = sum(model.batches), len(model.batches)
    return {"calls": calls, "batches": batches, "fill": calls / (batches * BATCH), "seconds": seconds / len(questions)}


def cached(stage: Stage, model: ScriptedModel, runs: list[list[Asked]]) -> list[int]:
    """Return how many calls of turn 1 each of several runs made that share a call cache."""
    made = []
    with tempfile.TemporaryDirectory() as folder:
        cache = CallCache(Path(folder) / "calls.sqlite")
        for questions in runs:
            model.prompts.clear()
            fill(stage, model, questions, cache)
            made.append(sum(TURN_1 in prompt for prompt in model.prompts))
        cache.close()
    return made


def turns(questions: list[Asked]) -> dict[str, dict[str, float]]:
    """Return what one and two turns take with the embedded model, a list of ten passages at a time."""
    model = TransformersModel(model="embedded:smollm2-135m-instruct")
    figures: dict[str, dict[str, float]] = {}
    for mode in ("one_turn", "two_turn", "relevance_only"):
        stage = RerankRebel(model=model, mode=mode)  # type: ignore[arg-type]
        done = run_questions([as_node(Candidates()), as_node(stage)], questions)
        assert all(prediction.error is None for prediction in done), next(p.error for p in done if p.error)
        usage = [prediction.usage for prediction in done]
        figures[mode] = {
            "seconds": statistics.fmean(meter.seconds for meter in usage),
            "calls": statistics.fmean(meter.model_calls for meter in usage),
            "prompt_tokens": statistics.fmean(meter.prompt_tokens for meter in usage),
            "completion_tokens": statistics.fmean(meter.completion_tokens for meter in usage),
            "flagged": sum(bool(prediction.flags) for prediction in done),
        }
        print(mode, figures[mode], flush=True)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    parser.add_argument("--turn-questions", type=int, default=TURN_QUESTIONS, help="0 leaves the embedded model out")
    args = parser.parse_args()
    texts = passages(200, 400)
    questions = asked(args.questions, CANDIDATES, texts)
    model = Unchecked(reply=reply, max_batch_size=BATCH)
    stages: dict[str, Any] = {
        "rebel, one turn": RerankRebel(model=model, mode="one_turn"),
        "rebel, two turns": RerankRebel(model=model),
        "rebel, passage by passage": RerankRebel(model=model, mode="one_turn", scoring="pointwise"),
        "rebel, digits": RerankRebel(model=model, mode="one_turn", scoring="expected"),
        "listwise, windows of 10": RerankListwise(model=model, window=10, step=5),
    }
    numbers: dict[str, Any] = {}
    for name, stage in stages.items():
        model.batches.clear()
        model.prompts.clear()
        numbers[name] = fill(stage, model, questions)
    rows = [("reranker", "calls", "batches", "fill", "ms a question")]
    for name, figures in numbers.items():
        cells = (
            f"{figures['calls']:,}",
            f"{figures['batches']:,}",
            f"{figures['fill']:.3f}",
            f"{figures['seconds'] * 1000:.2f}",
        )
        rows.append((name, *cells))
    print(table(rows))
    targets = [Target("batch fill", min(figures["fill"] for figures in numbers.values()), 0.9)]
    runs = [asked(CACHED_QUESTIONS, CANDIDATES, texts), asked(CACHED_QUESTIONS, CANDIDATES, texts[::-1])]
    first, again = cached(stages["rebel, two turns"], model, runs)
    numbers["calls of turn 1"] = {"first": first, "again, other candidates": again}
    assert first == CACHED_QUESTIONS
    targets.append(Target("calls of turn 1 that was known", float(again), 1, "below"))
    two_to_one = None
    if args.turn_questions:
        numbers["turns"] = turns(asked(args.turn_questions, TURN_CANDIDATES, texts))
        two_to_one = numbers["turns"]["two_turn"]["seconds"] / numbers["turns"]["one_turn"]["seconds"]
    targets.append(Target("two turns to one, seconds of the model", two_to_one, 2.5, "below"))
    full = args.questions == QUESTIONS and args.turn_questions in (0, TURN_QUESTIONS)
    write_result(
        "rerank", {"questions": args.questions, "candidates": CANDIDATES, "batch": BATCH}, numbers, targets, full=full
    )


if __name__ == "__main__":
    main()
