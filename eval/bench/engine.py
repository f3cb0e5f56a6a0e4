"""Overhead of the engine: no-op stages through ragkit, langchain-core and haystack-ai, per stage and question.

ragkit's figure is the dearest way to run it: a whole run folder, with the prediction and the trace of every question
serialised and written. The others run bare, without tracing. Each is represented by its fastest way.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import Target, interleave, ratio, table, write_result

from ragkit.engine.controls import with_unique_ids
from ragkit.engine.nodes import as_node
from ragkit.engine.run import run_questions
from ragkit.engine.run_folder import RunFolder
from ragkit.engine.stage import Stage, stage

# Nothing that a package reports to its makers is part of what is measured.
os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "false"
os.environ["LANGSMITH_TRACING"] = "false"


@stage("bench.noop", writes="vars.seen")
class NoOp(Stage):
    """Hand the question on."""

    async def run(self, question: str) -> str:
        return question


def ragkit_run(questions: list[str], stages: int) -> Callable[[], None]:
    nodes = with_unique_ids(as_node(NoOp()) for _ in range(stages))
    numbered = [(f"q{n}", question) for n, question in enumerate(questions)]

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder, RunFolder(Path(folder), {"name": "noop"}) as out:
            predictions = run_questions(nodes, numbered, on_prediction=out.add)
            out.finish(question_id for question_id, _ in numbered)
        assert len(predictions) == len(questions)
        assert all(prediction.vars["seen"] == prediction.question for prediction in predictions)

    return run


def langchain_runs(questions: list[str], stages: int) -> dict[str, Callable[[], None]]:
    from langchain_core.runnables import RunnableLambda, RunnableSequence

    def noop(state: dict[str, Any]) -> dict[str, Any]:
        return {**state, "seen": state["question"]}

    sequence = RunnableSequence(*(RunnableLambda(noop) for _ in range(stages)))
    states = [{"question": question} for question in questions]

    def check(results: list[dict[str, Any]]) -> None:
        assert [result["seen"] for result in results] == questions

    return {
        "langchain-core batch": lambda: check(sequence.batch(states)),
        "langchain-core invoke in a loop": lambda: check([sequence.invoke(state) for state in states]),
    }


def haystack_runs(questions: list[str], stages: int) -> dict[str, Callable[[], None]]:
    """Return the ways to run haystack, none if it is not installed."""
    try:
        from haystack import Pipeline, component
    except ImportError:
        return {}

    @component
    class HaystackNoOp:
        @component.output_types(question=str)
        def run(self, question: str) -> dict[str, str]:
            return {"question": question}

        @component.output_types(question=str)
        async def run_async(self, question: str) -> dict[str, str]:
            return {"question": question}

    pipeline = Pipeline()
    for n in range(stages):
        pipeline.add_component(f"s{n}", HaystackNoOp())
        if n:
            pipeline.connect(f"s{n - 1}", f"s{n}")
    last = f"s{stages - 1}"

    def check(results: list[dict[str, Any]]) -> None:
        assert [result[last]["question"] for result in results] == questions

    async def all_at_once() -> list[dict[str, Any]]:
        return await asyncio.gather(*(pipeline.run_async({"s0": {"question": question}}) for question in questions))

    return {
        "haystack-ai run in a loop": lambda: check([pipeline.run({"s0": {"question": q}}) for q in questions]),
        "haystack-ai run_async, gathered": lambda: check(asyncio.run(all_at_once())),
    }


def fastest_ratio(seconds: dict[str, list[float]], package: str) -> float | None:
    """Return how many times ragkit's time the fastest way of a package takes; None if it is not installed."""
    ratios = [ratio(times, seconds["ragkit"]) for name, times in seconds.items() if name.startswith(package)]
    return min(ratios, default=None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--stages", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    questions = [f"How deep is well number {n}?" for n in range(args.questions)]
    contenders = {
        "ragkit": ragkit_run(questions, args.stages),
        **langchain_runs(questions, args.stages),
        **haystack_runs(questions, args.stages),
    }
    interleave(contenders, 1)  # warm up
    seconds = interleave(contenders, args.rounds)
    per_stage = {name: statistics.median(times) / args.questions / args.stages * 1e6 for name, times in seconds.items()}
    ratios = {name: ratio(times, seconds["ragkit"]) for name, times in seconds.items()}
    rows = [(name, f"{value:.1f}", f"{ratios[name]:.1f}") for name, value in per_stage.items()]
    print(table([("engine", "µs per stage and question", "times ragkit"), *rows]))
    if not any(name.startswith("haystack-ai") for name in contenders):
        print("haystack-ai is not installed: see eval/bench/README.md")
    write_result(
        "engine",
        vars(args),
        {"microseconds_per_stage_and_question": per_stage, "times_ragkit": ratios, "seconds": seconds},
        [
            Target("langchain-core, times ragkit", fastest_ratio(seconds, "langchain-core"), 10),
            Target("haystack-ai, times ragkit", fastest_ratio(seconds, "haystack-ai"), 8),
        ],
        full=vars(args) == vars(parser.parse_args([])),
    )


if __name__ == "__main__":
    main()
