"""Run a pipeline's nodes over many questions at once."""

import asyncio
import contextlib
import contextvars
import gc
import math
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from ragkit.engine.cache import CallCache
from ragkit.engine.calls import CALLER, QUESTION, Budget, Meter, OnProgress, QuestionContext, Resource
from ragkit.engine.component import Component
from ragkit.engine.memory import Memory
from ragkit.engine.nodes import Node, StageError, run_sequence
from ragkit.engine.scheduler import Scheduler
from ragkit.engine.state import Citation, Documents, Passage, State
from ragkit.engine.trace import Trace
from ragkit.errors import BudgetExceededError


@dataclass(slots=True, repr=False)
class Prediction:
    """What a pipeline made of one question.

    Attributes:
        documents: the final ranking of passages.
        context: the passages that were in the reader's prompt, if a stage packed them; otherwise `documents`.
        flags: `budget:<name>` when a budget ended the question, and what stages marked it with.
        error: stage, type, message and traceback of the failure, if a stage failed.
    """

    id: str
    question: str
    answer: str | None
    documents: Documents
    context: Documents
    citations: tuple[Citation, ...]
    usage: Meter
    flags: tuple[str, ...] = ()
    error: dict[str, str] | None = None
    vars: dict[str, Any] = field(default_factory=dict)
    trace: Trace | None = None

    def __repr__(self) -> str:
        places = ", ".join(f"{c.source} p. {c.page}" if c.page else c.source for c in self.citations)
        ended = f", error={self.error['type']}" if self.error else "".join(f", {flag}" for flag in self.flags)
        return (
            f"Prediction({self.id!r}, answer={self.answer!r}, cites=[{places}], {len(self.documents)} documents{ended})"
        )

    def to_row(self) -> dict[str, Any]:
        """Return the line of `predictions.jsonl`: everything that does not depend on timing."""
        error = {key: self.error[key] for key in ("stage", "type", "message")} if self.error else None
        return {
            "id": self.id,
            "question": self.question,
            "answer": self.answer,
            "documents": [passage_row(passage) for passage in self.documents],
            "context": [passage.id for passage in self.context],
            "citations": [asdict(citation) for citation in self.citations],
            "usage": self.usage.as_dict(),
            "flags": list(self.flags),
            "error": error,
            "confidence": _confidence(self.vars.get("confidence")),
        }


def _confidence(value: Any) -> float | None:
    """Return the variable `confidence` if it is a number that can be ranked by."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def passage_row(passage: Passage) -> dict[str, Any]:
    """Return a passage as `predictions.jsonl` and `passages.jsonl` keep it."""
    keys = ("source", "document", "page")
    score = None if passage.score is None else round(passage.score, 6)
    return (
        {"id": passage.id}
        | {key: passage.metadata[key] for key in keys if key in passage.metadata}
        | {"score": score, "text": passage.page_content}
    )


class _SeldomCollected:
    """Lets the garbage collector look seldom while runs go on.

    Thousands of questions in flight are many live objects; looking through them at every 700th new one takes a third
    of the engine's time. The threshold belongs to the process, so the last run to end puts it back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs = 0
        self._usual = gc.get_threshold()

    def __enter__(self) -> None:
        with self._lock:
            if self._runs == 0:
                self._usual = gc.get_threshold()
                gc.set_threshold(20_000, *self._usual[1:])
            self._runs += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._runs -= 1
            if self._runs == 0:
                gc.set_threshold(*self._usual)


_seldom_collected = _SeldomCollected()


class Asked(NamedTuple):
    """A question that is asked; `vars` are the variables that its state starts with."""

    id: str
    question: str
    vars: Mapping[str, Any] = MappingProxyType({})


Questions = Sequence[Asked | tuple[str, str]]
"""Questions with variables, or bare (id, text)."""

OnPrediction = Callable[[Prediction, QuestionContext], None]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How questions are run.

    Attributes:
        budget: what one question may use.
        wave: questions per wave when the pipeline has a memory that questions share.
        in_flight: questions on their way at once.
    """

    budget: Budget = field(default_factory=Budget)
    wave: int = 64
    in_flight: int = 2048


def run_questions(
    nodes: Sequence[Node],
    questions: Questions,
    *,
    options: RunOptions | None = None,
    cache: CallCache | None = None,
    on_prediction: OnPrediction | None = None,
    on_progress: OnProgress | None = None,
) -> list[Prediction]:
    """Run questions through nodes and return their predictions in the order of the questions.

    A question whose stage fails is a prediction with an error; the others go on. `on_prediction` is told of each
    question as it finishes. Works inside a running event loop too, because the run has a thread and a loop of its own.

    Raises:
        RagkitError: a model or index could not be opened.
        KeyboardInterrupt: the user pressed Ctrl-C; the batch under way is finished and kept first.
    """
    run = _Run(nodes, options or RunOptions(), Scheduler(cache, on_progress), on_prediction or (lambda *_: None))
    thread = threading.Thread(
        target=contextvars.copy_context().run, args=(run.main, questions), name="ragkit-engine", daemon=True
    )
    with _seldom_collected:
        try:
            thread.start()
            run.done.wait()
        except KeyboardInterrupt:
            run.scheduler.cancel()
            if thread in threading.enumerate():
                run.done.wait()  # not Thread.join, which Ctrl-C breaks in Python 3.11
            raise
    if run.failure is not None:
        raise run.failure
    return run.predictions


class _Run:
    def __init__(
        self, nodes: Sequence[Node], options: RunOptions, scheduler: Scheduler, on_prediction: OnPrediction
    ) -> None:
        self.nodes = nodes
        self.options = options
        self.scheduler = scheduler
        self.on_prediction = on_prediction
        self.predictions: list[Prediction] = []
        self.failure: BaseException | None = None
        self.done = threading.Event()

    def main(self, questions: Questions) -> None:
        """On the engine's thread: run everything."""
        CALLER.set(self.scheduler)
        try:
            self.scheduler.loop.run_until_complete(self._waves(questions))
        except BaseException as failure:  # noqa: BLE001 - raised again in the thread that called run_questions
            self.failure = failure
        finally:
            try:
                self.scheduler.close()
            except BaseException as failure:  # noqa: BLE001 - the thread that waits must hear of it, not wait for ever
                self.failure = self.failure or failure
            self.done.set()

    async def _waves(self, questions: Questions) -> None:
        memories = [part for part in parts(self.nodes) if isinstance(part, Memory)]
        for memory in memories:
            memory.begin_run()
        size = self.options.wave if memories else max(len(questions), 1)
        for start in range(0, len(questions), size):
            asked = [Asked(*question) for question in questions[start : start + size]]
            numbered = list(enumerate(asked, start))
            results: list[Prediction | None] = [None] * len(numbered)
            await self._wave(iter(numbered), results, start)
            self.predictions += [prediction for prediction in results if prediction is not None]
            for memory in memories:
                memory.end_wave()

    async def _wave(self, numbered: Iterator[tuple[int, Asked]], results: list[Prediction | None], start: int) -> None:
        """Run the questions of a wave, at most `in_flight` at once; a fatal failure of a resource ends it."""
        fatal = self.scheduler.fatal

        async def lane() -> None:
            for order, asked in numbered:
                results[order - start] = await self._question(order, asked)

        lanes = asyncio.gather(*(lane() for _ in range(min(self.options.in_flight, len(results)))))
        await asyncio.wait((lanes, fatal), return_when=asyncio.FIRST_COMPLETED)
        if fatal.done():
            lanes.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await lanes
            fatal.result()
        lanes.result()

    async def _question(self, order: int, asked: Asked) -> Prediction:
        state = State(asked.id, asked.question)
        for name, value in asked.vars.items():
            state.set(f"vars.{name}", value)
        state = state.copy()  # what a stage changes in place is not the caller's
        trace = Trace(asked.id, time.perf_counter())
        context = QuestionContext(asked.id, order, budget=self.options.budget)
        QUESTION.set(context)
        error = None
        try:
            await run_sequence(self.nodes, state, trace)
        except BudgetExceededError as exceeded:
            context.flags[f"budget:{exceeded.name}"] = None
        except StageError as failure:
            error = describe_failure(failure)
        except Exception as failure:  # noqa: BLE001 - a control node failed; the other questions go on
            error = describe_failure(StageError("pipeline", failure))
        prediction = Prediction(
            id=asked.id,
            question=asked.question,
            answer=state.answer,
            documents=state.documents,
            context=state.vars.get("context", state.documents),
            citations=state.citations,
            usage=context.meter,
            flags=tuple(context.flags),
            error=error,
            vars=state.vars,
            trace=trace,
        )
        self.on_prediction(prediction, context)
        return prediction


def describe_failure(failure: StageError) -> dict[str, str]:
    """Return stage, type, message and traceback of a stage's failure."""
    cause = failure.cause
    lines = traceback.format_exception(type(cause), cause, cause.__traceback__)
    return {
        "stage": failure.stage,
        "type": type(cause).__name__,
        "message": str(cause),
        "traceback": "".join(lines),
    }


def parts(nodes: Sequence[Component]) -> list[Component]:
    """Return the models, indexes, memories and other components that the stages of nodes hold, each once.

    What is not a node (a judge, say) is among them itself.
    """
    found: dict[int, Component] = {}

    def visit(value: Any) -> None:
        if isinstance(value, Component):
            if not isinstance(value, Node):
                if id(value) in found:
                    return
                found[id(value)] = value
            for name in type(value).model_fields:
                visit(getattr(value, name))
        elif isinstance(value, (list, tuple)):
            for item in value:
                visit(item)
        elif isinstance(value, dict):
            visit(list(value.values()))

    visit(list(nodes))
    return list(found.values())


def resources(nodes: Sequence[Node]) -> list[Resource]:
    """Return the models and indexes that the stages of nodes hold, each once."""
    return [part for part in parts(nodes) if isinstance(part, Resource)]
