"""A model that answers at once and remembers its batches, and stages around it."""

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import PrivateAttr

from ragkit.engine.calls import Batching, LocalResource, RemoteResource, Reply, Request
from ragkit.engine.nodes import Node, Step
from ragkit.engine.stage import Stage, stage


class FakeModel(LocalResource):
    category = "model"
    name: str = "fake"
    most: int = 1_000_000
    answer: Callable[[str], Any] = lambda text: f"<{text}>"
    _batches: list[list[str]] = PrivateAttr(default_factory=list)
    _opened_times: int = PrivateAttr(default=0)

    def fingerprint(self) -> str:
        return self.name

    def open(self) -> None:
        self._opened_times += 1

    def batching(self) -> Batching:
        return Batching(requests=self.most, tokens=1_000_000)

    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        self._batches.append([request.args["text"] for request in batch])
        return [Reply(self.answer(request.args["text"]), 3, 2) for request in batch]

    async def ask(self, text: str) -> Any:
        return (await self.call("ask", {"text": text})).value

    @property
    def sizes(self) -> list[int]:
        return [len(batch) for batch in self._batches]


class FakeRemote(RemoteResource):
    category = "model"
    behave: Callable[[str, int], Any]
    _attempts: dict[str, int] = PrivateAttr(default_factory=dict)
    _now: int = PrivateAttr(default=0)
    _most: int = PrivateAttr(default=0)

    def fingerprint(self) -> str:
        return "remote"

    async def execute(self, request: Request) -> Reply:
        import asyncio

        text = request.args["text"]
        self._attempts[text] = self._attempts.get(text, 0) + 1
        self._now += 1
        self._most = max(self._most, self._now)
        try:
            await asyncio.sleep(0.001)
            return Reply(self.behave(text, self._attempts[text]), 1, 1)
        finally:
            self._now -= 1

    async def ask(self, text: str) -> Any:
        return (await self.call("ask", {"text": text})).value


@stage("test.ask", writes="answer")
class Ask(Stage):
    """Ask the model once."""

    model: LocalResource | RemoteResource
    prefix: str = ""

    async def run(self, question: str) -> str:
        return str(await self.model.ask(self.prefix + question))  # type: ignore[union-attr]


@stage("test.hop", writes=("vars.hops", "answer"))
class Hop(Stage):
    """Ask once per round; question n needs n % 4 + 1 rounds."""

    model: LocalResource

    async def run(self, question: str, hops: int = 0) -> dict[str, Any]:
        await self.model.ask(f"{question}/{hops}")  # type: ignore[attr-defined]
        return {"vars.hops": hops + 1, "answer": "done" if hops >= int(question) % 4 else None}


def step(value: Stage, id: str | None = None) -> Node:  # noqa: A002
    return Step(stage=value, id=id or value.name)


def questions(count: int) -> list[tuple[str, str]]:
    return [(f"q{n:04d}", str(n)) for n in range(count)]
