"""Quiescence batching: when every question in flight waits, the waiting calls are answered together.

The event loop asks its selector for news only when no task can go on. At that moment, and no other, the scheduler
looks the waiting calls up in the cache and, if none is there, runs the fullest queue of one local resource as batches.
No timers are involved, so the same inputs give the same batches in the same order.
"""

import asyncio
import contextlib
import selectors
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

from ragkit.engine.batching import Outcome, execute_in_batches
from ragkit.engine.cache import CallCache, call_key
from ragkit.engine.calls import (
    QUESTION,
    STAGE,
    CallRecord,
    LocalResource,
    OnProgress,
    QuestionContext,
    RemoteResource,
    Reply,
    Request,
    Resource,
)
from ragkit.errors import CancelledRunError, RagkitError

Source = Literal["run", "cache", "joined"]


class _IdleSelector(selectors.DefaultSelector):  # type: ignore[valid-type, misc]
    """A selector that tells the scheduler when no task of the event loop can go on."""

    on_idle: Callable[[], bool] = staticmethod(lambda: False)

    def select(self, timeout: float | None = None) -> Any:
        if (timeout is None or timeout > 0) and self.on_idle():
            timeout = 0
        return super().select(timeout)


@dataclass(slots=True)
class _Waiting:
    """A call and all who wait for its answer."""

    resource: Resource
    request: Request
    key: bytes
    waiters: list[asyncio.Future[tuple[Reply, Source]]] = field(default_factory=list)


class Scheduler:
    """Answers the calls of all questions in flight; one per run.

    Args:
        cache: where answers are looked up and kept; None to ask anew every time.
        on_progress: told of answered calls, from any thread.
    """

    def __init__(self, cache: CallCache | None = None, on_progress: OnProgress | None = None) -> None:
        self._cache = cache
        self._on_progress = on_progress or (lambda *_: None)
        self._fingerprints: dict[int, str] = {}
        self._in_flight: dict[bytes, _Waiting] = {}
        self._fresh: list[_Waiting] = []
        self._queues: dict[tuple[int, str], list[_Waiting]] = defaultdict(list)
        self._gates: dict[int, asyncio.Semaphore] = {}
        self._remote_tasks: set[asyncio.Task[None]] = set()
        self._asked: dict[str, int] = defaultdict(int)
        self._answered: dict[str, int] = defaultdict(int)
        self._busy = False
        self._cancelled = False
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="ragkit-worker")
        self._selector = _IdleSelector()
        self._selector.on_idle = self._on_idle
        self.loop = asyncio.SelectorEventLoop(self._selector)
        self.fatal: asyncio.Future[None] = self.loop.create_future()

    async def call(self, resource: Resource, request: Request) -> Reply:
        """Answer a call of the question in this task: from the cache, together with an equal one, or in a batch.

        Raises:
            BudgetExceededError: the question may not make this call any more.
            Exception: whatever the resource raised for this call.
        """
        question = QUESTION.get()
        if question is not None:
            _spend(question, resource, request)
        fingerprint = self._fingerprints.get(id(resource))
        if fingerprint is None:
            fingerprint = self._fingerprints[id(resource)] = resource.fingerprint()
        key = call_key(fingerprint, request)
        future: asyncio.Future[tuple[Reply, Source]] = self.loop.create_future()
        waiting = self._in_flight.get(key)
        if waiting is None:
            waiting = self._in_flight[key] = _Waiting(resource, request, key)
            self._fresh.append(waiting)
            self._asked[_label(waiting)] += 1
        waiting.waiters.append(future)
        reply, source = await future
        if question is not None:
            _meter(question, resource, request, reply, source)
        return reply

    def cancel(self) -> None:
        """Stop after the batch that is running, whose answers are kept; may be called from any thread."""
        self._cancelled = True
        with contextlib.suppress(RuntimeError):  # the run has ended in this moment and its loop is closed
            self.loop.call_soon_threadsafe(self._fail, CancelledRunError("the run was stopped"))

    def close(self) -> None:
        """Wait for the batch that is running, drop what waits for the network, end the event loop."""
        self._selector.on_idle = lambda: False
        self._worker.shutdown(wait=True)
        for task in self._remote_tasks:
            task.cancel()
        if self._remote_tasks:
            self.loop.run_until_complete(asyncio.gather(*self._remote_tasks, return_exceptions=True))
        self.loop.close()

    def _fail(self, failure: BaseException) -> None:
        if not self.fatal.done():
            self.fatal.set_exception(failure)

    def _on_idle(self) -> bool:
        """Make progress possible; False if all that can be done is to wait for the network or the worker."""
        if self._fresh:
            self._sort_fresh()
            return True
        if self._busy or not self._queues:
            return False
        fullest = max(self._queues, key=lambda name: len(self._queues[name]))
        queue = self._queues.pop(fullest)
        self._busy = True
        self.loop.run_in_executor(self._worker, self._run_queue, queue)
        return False

    def _sort_fresh(self) -> None:
        """Answer new calls from the cache, else queue them (local) or send them (remote)."""
        fresh, self._fresh = self._fresh, []
        known = self._cache.lookup(waiting.key for waiting in fresh) if self._cache is not None else {}
        for waiting in fresh:
            if waiting.key in known:
                self._answer(waiting, known[waiting.key], "cache")
            elif isinstance(waiting.resource, RemoteResource):
                task = self.loop.create_task(self._send(waiting.resource, waiting))
                self._remote_tasks.add(task)
                task.add_done_callback(self._sent)
            else:
                self._queues[(id(waiting.resource), waiting.request.op)].append(waiting)

    def _sent(self, task: "asyncio.Task[None]") -> None:
        self._remote_tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._fail(failure)

    async def _send(self, resource: RemoteResource, waiting: _Waiting) -> None:
        gate = self._gates.setdefault(id(resource), asyncio.Semaphore(resource.concurrency))
        async with gate:
            start = self.loop.time()
            outcome: Outcome
            try:
                reply = await resource.attempt(waiting.request)
            except Exception as error:  # noqa: BLE001 - it is handed to the question that asked
                if resource.is_fatal(error):
                    self._fail(error)
                    return
                outcome = error
            else:
                outcome = reply._replace(seconds=self.loop.time() - start)
                self._store({waiting.key: outcome})
        self._answer(waiting, outcome, "run")

    def _store(self, replies: dict[bytes, Reply]) -> None:
        """Keep answers; a cache that cannot be written ends the run, because resuming would ask again."""
        if self._cache is not None:
            self._cache.store(replies)

    def _run_queue(self, queue: Sequence[_Waiting]) -> None:
        """On the worker thread: run a queue of one local resource as batches, then wake everyone who waits for it."""
        outcomes: dict[int, Outcome] = {}
        label = _label(queue[0])
        self._on_progress(label, self._answered[label], self._asked[label])

        def on_batch(positions: Sequence[int], results: Sequence[Outcome]) -> None:
            outcomes.update(zip(positions, results, strict=True))
            pairs = zip(positions, results, strict=True)
            self._store({queue[p].key: r for p, r in pairs if not isinstance(r, Exception)})
            self._on_progress(label, self._answered[label] + len(outcomes), self._asked[label])
            if self._cancelled:
                raise CancelledRunError("the run was stopped")

        resource = queue[0].resource
        failure: BaseException | None = None
        try:
            if not isinstance(resource, LocalResource):
                raise RagkitError(f"{type(resource).__name__} is neither a LocalResource nor a RemoteResource")
            execute_in_batches(resource, [waiting.request for waiting in queue], on_batch)
        except BaseException as error:  # noqa: BLE001 - a resource that cannot start ends the run; see _finish_queue
            failure = error
        self.loop.call_soon_threadsafe(self._finish_queue, queue, outcomes, failure)

    def _finish_queue(
        self, queue: Sequence[_Waiting], outcomes: dict[int, Outcome], failure: BaseException | None
    ) -> None:
        self._busy = False
        if failure is not None:
            self._fail(failure)
            return
        for position, waiting in enumerate(queue):
            self._answer(waiting, outcomes[position], "run")

    def _answer(self, waiting: _Waiting, outcome: Outcome, source: Source) -> None:
        del self._in_flight[waiting.key]
        label = _label(waiting)
        self._answered[label] += 1
        if source != "run" or isinstance(waiting.resource, RemoteResource):
            self._on_progress(label, self._answered[label], self._asked[label])
        for number, future in enumerate(waiting.waiters):
            if future.done():  # its question was cancelled
                continue
            if isinstance(outcome, StopIteration):  # which no future takes
                future.set_exception(RuntimeError(f"the resource raised StopIteration({outcome})"))
            elif isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result((outcome, "joined" if number and source == "run" else source))


def _label(waiting: _Waiting) -> str:
    return f"{waiting.resource.category} {waiting.request.op}"


def _spend(question: QuestionContext, resource: Resource, request: Request) -> None:
    """Count a call before it is made, or refuse one that the question's budget does not cover.

    Raises:
        BudgetExceededError: with the name and the limit of the budget that is used up.
    """
    budget, meter = question.budget, question.meter
    if budget.seconds is not None and meter.seconds >= budget.seconds:
        raise question.exhausted("seconds", budget.seconds)
    if resource.category == "model" and request.metered:
        if budget.model_calls is not None and meter.model_calls >= budget.model_calls:
            raise question.exhausted("model calls", budget.model_calls)
        if budget.tokens is not None and meter.tokens >= budget.tokens:
            raise question.exhausted("tokens", budget.tokens)
        meter.model_calls += 1  # now, so that calls made side by side cannot overdraw together


def _meter(question: QuestionContext, resource: Resource, request: Request, reply: Reply, source: Source) -> None:
    meter = question.meter
    meter.retriever_calls += resource.category == "index"
    if resource.category == "model" and request.metered:
        meter.prompt_tokens += reply.prompt_tokens
        meter.completion_tokens += reply.completion_tokens
        if (cost := resource.cost(reply)) is not None:
            meter.cost = (meter.cost or 0.0) + cost
    meter.seconds += reply.seconds
    meter.cached += source == "cache"
    question.calls.append(CallRecord(STAGE.get(), type(resource).__name__, request.op, request.args, reply, source))
