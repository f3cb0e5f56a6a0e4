"""The one door to everything expensive: what a call is, and what can answer it.

A stage awaits a method of a resource (a language model, an encoder, an index ...). That method turns into a `Request`
and goes through `Resource.call`. Inside a run the scheduler answers it: from the cache, from an identical call in
flight, or in a batch with the calls of other questions. Outside a run (a stage tried by hand) it is answered at once.
"""

import asyncio
import contextlib
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

from pydantic import Field, PrivateAttr

from ragkit.engine.component import Component
from ragkit.errors import BudgetExceededError, InputError, MissingPackageError

Category = Literal["model", "encoder", "reranker", "nli", "reward", "tool", "index", "memory"]


@dataclass(slots=True)
class Request:
    """One call.

    Attributes:
        op: the operation's name, e.g. `generate`.
        args: JSON values that, with the resource's fingerprint, determine the answer; they are the cache key.
        payload: what the resource needs beside them and what follows from them (a query's vector); not in the key.
        metered: whether it counts as a call in budgets and reports (counting tokens, say, does not).
        size: how much of a batch's budget the call takes, in tokens; filled in by `LocalResource.measure`.
    """

    op: str
    args: dict[str, Any]
    payload: Any = None
    metered: bool = True
    size: int = 1


class Reply(NamedTuple):
    """An answered call: JSON data or a float32 vector or matrix. `seconds` is the call's share of its batch."""

    value: Any
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0


class Batching(NamedTuple):
    """The most that one batch may hold: requests, and tokens after padding to the longest."""

    requests: int
    tokens: int


OnProgress = Callable[[str, int, int], None]
"""Told of the progress of a long step, from any thread: its name, how much is done, of how much."""


class Caller(Protocol):
    """Answers calls during a run; implemented by the scheduler."""

    async def call(self, resource: "Resource", request: Request) -> Reply:
        """Answer one request of the question that is on its way in this task."""
        ...


CALLER: ContextVar[Caller | None] = ContextVar("ragkit_caller", default=None)


class Resource(Component):
    """Something expensive that answers calls. Subclass `LocalResource` or `RemoteResource`.

    Attributes:
        category: what it is.
        called: what messages call it where several kinds share a category; empty for the usual name.
    """

    category: ClassVar[Category]
    called: ClassVar[str] = ""

    @abstractmethod
    def fingerprint(self) -> str:
        """Name everything beside the arguments that determines an answer: weights, revision, precision, settings."""

    @abstractmethod
    async def answer_directly(self, request: Request) -> Reply:
        """Answer a request outside a run, without batching, cache or metering."""

    async def call(self, op: str, args: dict[str, Any], payload: Any = None, *, metered: bool = True) -> Reply:
        """Answer one call through the scheduler of the current run, or directly outside a run."""
        request = Request(op, args, payload, metered)
        caller = CALLER.get()
        return await (caller.call(self, request) if caller else self.answer_directly(request))

    def prepare(self, on_progress: OnProgress) -> None:
        """Make ready what a run needs on disk (an index builds itself); called before every run."""

    def cost(self, reply: "Reply") -> float | None:
        """Return what a call costs in money; None if its price is not known."""
        return None

    def close(self) -> None:
        """Free what the resource holds; it may be used again afterwards."""


class LocalResource(Resource):
    """A resource in this process, which answers batches, one batch at a time on the scheduler's worker thread."""

    _opened: bool = PrivateAttr(default=False)
    _busy: Any = PrivateAttr(default_factory=threading.RLock)

    def open(self) -> None:
        """Load what `execute` needs; called once, on the worker thread, before the first batch."""

    def load(self, op: str) -> None:
        """Load what only some operations need (weights, where a tokenizer does for others); a failure ends the run."""

    @abstractmethod
    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        """Answer a batch of requests of one operation, in order; an exception fails its own request only."""

    def batching(self) -> Batching:
        """Return the most that one batch may hold."""
        return Batching(requests=1_000_000, tokens=1_000_000_000)

    def measure(self, batch: Sequence[Request]) -> None:
        """Fill in `size` of each request (tokens), so that batches hold requests of similar length."""

    def ensure_open(self) -> None:
        """Open the resource unless it is open."""
        if not self._opened:
            self.open()
            self._opened = True

    @contextlib.contextmanager
    def in_use(self, op: str) -> Iterator[None]:
        """Hold the resource, open and loaded, for one caller: several runs may share it."""
        with self._busy:
            self.ensure_open()
            self.load(op)
            yield

    async def answer_directly(self, request: Request) -> Reply:
        with self.in_use(request.op):
            self.measure([request])
            (reply,) = self.execute(request.op, [request])
        if isinstance(reply, Exception):
            raise reply
        return reply


class RemoteResource(Resource):
    """A resource behind a network: bounded concurrency, a deadline per attempt, retries with back-off.

    Attributes:
        concurrency: calls under way at once.
        timeout: seconds that one attempt may take.
        retries: further attempts after a transient failure (rate limit, server error, time-out).
        backoff: the longest wait before the first retry, in seconds; twice that before each further one, up to 60.
            The wait itself is drawn at random, so that many callers do not return at once.
    """

    concurrency: int = Field(8, ge=1)
    timeout: float = Field(120.0, gt=0)
    retries: int = Field(5, ge=0)
    backoff: float = Field(1.0, ge=0)

    @abstractmethod
    async def execute(self, request: Request) -> Reply:
        """Make one attempt at a request."""

    def is_transient(self, error: BaseException) -> bool:
        """Say whether another attempt may succeed: time-outs, lost connections, HTTP 408, 409, 429 and 5xx."""
        if isinstance(error, (TimeoutError, ConnectionError)):
            return True
        name = type(error).__name__
        if "Timeout" in name or name in {"APIConnectionError", "ConnectError", "ReadError", "RemoteProtocolError"}:
            return True
        status = _http_status(error)
        return status is not None and (status in {408, 409, 429} or status >= 500)

    def is_fatal(self, error: BaseException) -> bool:
        """Say whether every other call would fail the same way, so that the run should end: settings, keys, access."""
        return isinstance(error, (InputError, MissingPackageError)) or _http_status(error) in {401, 403}

    async def attempt(self, request: Request) -> Reply:
        """Answer a request, trying again after transient failures.

        Raises:
            Exception: the last failure, when it is not transient or the retries are used up.
        """
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

        async for trial in AsyncRetrying(
            stop=stop_after_attempt(self.retries + 1),
            wait=wait_random_exponential(multiplier=self.backoff, max=60),
            retry=retry_if_exception(self.is_transient),
            reraise=True,
        ):
            with trial:
                async with asyncio.timeout(self.timeout):
                    return await self.execute(request)
        raise AssertionError("unreachable: the loop returns or raises")

    async def answer_directly(self, request: Request) -> Reply:
        return await self.attempt(request)


def _http_status(error: BaseException) -> int | None:
    """Return the HTTP status that a client's exception carries, on itself or on its response."""
    status = getattr(error, "status_code", None) or getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


@dataclass(slots=True)
class Meter:
    """What one question has used so far; cached answers count like fresh ones, so that a replay ends the same.

    One search may make several retriever calls, of parts of an index or for several queries. Tokens are those of
    language models; `cost` is the money for those with a price, None as long as none of them was called; `seconds` is
    the time that all of its calls took, as its share of batches.
    """

    searches: int = 0
    retriever_calls: int = 0
    model_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    cached: int = 0
    cost: float | None = None

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    def as_dict(self) -> dict[str, int | float]:
        """Return the counts that do not depend on timing or on the state of the cache."""
        cost = {} if self.cost is None else {"cost": round(self.cost, 12)}
        return {
            "searches": self.searches,
            "retriever_calls": self.retriever_calls,
            "model_calls": self.model_calls,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            **cost,
        }


class CallRecord(NamedTuple):
    """One call as the trace keeps it."""

    stage: str
    resource: str
    op: str
    args: dict[str, Any]
    reply: Reply
    source: Literal["run", "cache", "joined"]


@dataclass(slots=True)
class Budget:
    """The most that one question may use; None is no limit. Seconds are the question's share of computing time."""

    searches: int | None = None
    model_calls: int | None = None
    tokens: int | None = None
    seconds: float | None = None


@dataclass(slots=True)
class QuestionContext:
    """What the engine keeps about a question while it is on its way; the current one is in `QUESTION`."""

    id: str
    order: int = 0
    meter: Meter = field(default_factory=Meter)
    budget: Budget = field(default_factory=Budget)
    calls: list[CallRecord] = field(default_factory=list)
    refused: BudgetExceededError | None = None
    flags: dict[str, None] = field(default_factory=dict)

    def exhausted(self, name: str, limit: float) -> BudgetExceededError:
        """Note that a budget is used up, so that the question ends even if a stage swallows the error."""
        self.refused = BudgetExceededError(name, limit)
        return self.refused


QUESTION: ContextVar[QuestionContext | None] = ContextVar("ragkit_question", default=None)
STAGE: ContextVar[str] = ContextVar("ragkit_stage", default="")


def flag(name: str) -> None:
    """Mark the current question: a stage made do with less than it should have (`rewrite.plus:fallback`).

    A run counts the questions of each flag and shows them. A flag is kept once per question; outside a run it is not
    kept at all.
    """
    question = QUESTION.get()
    if question is not None:
        question.flags[name] = None


def try_search() -> bool:
    """Count one search of the current question, whatever number of index calls it takes.

    False when the question may not search any more; it then ends after the stage, with what the stage wrote.
    """
    question = QUESTION.get()
    if question is None:
        return True
    if question.budget.searches is not None and question.meter.searches >= question.budget.searches:
        question.exhausted("searches", question.budget.searches)
        return False
    question.meter.searches += 1
    return True
