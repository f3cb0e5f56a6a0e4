from collections.abc import Sequence
from typing import Any

import pytest
from engine_fakes import Ask, FakeModel, Hop, questions, step
from pydantic import PrivateAttr

from ragkit.engine.calls import Budget, LocalResource, Reply, Request, try_search
from ragkit.engine.conditions import Condition
from ragkit.engine.controls import Each, Loop
from ragkit.engine.memory import Memory
from ragkit.engine.run import RunOptions, run_questions
from ragkit.engine.stage import Stage, stage


def test_a_stage_that_raises_for_some_questions_harms_no_other() -> None:
    @stage("test.picky", writes="answer")
    class Picky(Stage):
        """Fail on three questions."""

        model: LocalResource

        async def run(self, question: str) -> str:
            if question in {"7", "21", "49"}:
                raise KeyError(f"cannot do {question}")
            return str(await self.model.ask(question))  # type: ignore[attr-defined]

    model = FakeModel()
    predictions = run_questions([step(Picky(model=model))], questions(50))
    failed = {p.question: p.error for p in predictions if p.error}
    assert sorted(failed) == ["21", "49", "7"]
    assert failed["7"] is not None
    assert failed["7"]["stage"] == "test.picky"
    assert failed["7"]["type"] == "KeyError"
    assert "cannot do 7" in failed["7"]["traceback"]
    assert model.sizes == [47]


@pytest.mark.parametrize(
    ("budget", "flag", "rounds"),
    [
        (Budget(model_calls=2), "budget:model calls", 2),
        (Budget(tokens=11), "budget:tokens", 3),  # 5 tokens a call: after three calls 15 are used
    ],
)
def test_a_budget_ends_the_question_with_what_it_has(budget: Budget, flag: str, rounds: int) -> None:
    nodes = [Loop(do=(step(Hop(model=FakeModel())),), until=Condition(field="answer", equals="x"), max=10)]
    (prediction,) = run_questions(nodes, [("q", "3")], options=RunOptions(budget=budget))
    assert prediction.flags == (flag,)
    assert prediction.error is None
    assert prediction.vars["hops"] == rounds
    assert prediction.usage.model_calls == rounds


def test_a_budget_of_searches_keeps_what_was_gathered() -> None:
    @stage("test.find", writes="vars.found")
    async def find(queries: tuple[str, ...]) -> str:
        return f"found {queries[0]}" if try_search() else "nothing"

    @stage("test.words", writes="queries")
    async def words(question: str) -> list[str]:
        return question.split()

    nodes = [step(words()), Each(over="queries", do=(step(find()),))]
    (prediction,) = run_questions(nodes, [("q", "a b c")], options=RunOptions(budget=Budget(searches=2)))
    assert prediction.flags == ("budget:searches",)
    assert prediction.vars["found"] == ("found a", "found b", "nothing")
    assert prediction.usage.searches == 2


def test_a_budget_of_seconds_counts_computing_time() -> None:
    class Slow(FakeModel):
        def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
            import time

            time.sleep(0.02)
            return super().execute(op, batch)

    nodes = [Loop(do=(step(Hop(model=Slow())),), until=Condition(field="answer", equals="x"), max=50)]
    (prediction,) = run_questions(nodes, [("q", "3")], options=RunOptions(budget=Budget(seconds=0.05)))
    assert prediction.flags == ("budget:seconds",)
    assert 1 <= prediction.vars["hops"] <= 3


class Notebook(Memory):
    _pages: list[str] = PrivateAttr(default_factory=list)
    _merges: list[list[str]] = PrivateAttr(default_factory=list)

    def reset(self) -> None:
        self._pages.clear()

    def merge(self, items: Sequence[Any]) -> None:
        self._pages += items
        self._merges.append(list(items))

    def read(self) -> int:
        return len(self._pages)


@stage("test.remember", writes="vars.seen")
class Remember(Stage):
    """See how much is remembered, ask, and write down the question."""

    memory: Notebook
    model: FakeModel

    async def run(self, question: str) -> int:
        seen = self.memory.read()
        await self.model.ask(question)
        self.memory.write(question)
        return seen


def seen_by(wave: int, batch: int = 1_000) -> tuple[list[int], list[list[str]]]:
    memory = Notebook()
    nodes = [step(Remember(memory=memory, model=FakeModel(most=batch)))]
    predictions = run_questions(nodes, questions(10), options=RunOptions(wave=wave))
    return [p.vars["seen"] for p in predictions], memory._merges


def test_a_wave_sees_the_memory_as_it_was_when_the_wave_began() -> None:
    seen, merges = seen_by(wave=4)
    assert seen == [0, 0, 0, 0, 4, 4, 4, 4, 8, 8]
    assert merges == [["0", "1", "2", "3"], ["4", "5", "6", "7"], ["8", "9"]]


def test_a_wave_of_one_is_strictly_sequential() -> None:
    assert seen_by(wave=1)[0] == list(range(10))


def test_waves_do_not_depend_on_how_calls_are_batched() -> None:
    assert seen_by(wave=5, batch=2) == seen_by(wave=5)


def test_runs_at_the_same_time_that_share_a_memory_lose_nothing() -> None:
    from concurrent.futures import ThreadPoolExecutor

    memory = Notebook()

    def run(_: int) -> None:
        run_questions([step(Remember(memory=memory, model=FakeModel()))], questions(40), options=RunOptions(wave=2))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(run, range(4)))
    assert sorted(int(page) for pages in memory._merges for page in pages) == sorted([*range(40)] * 4)


def test_a_stage_must_return_what_it_declares() -> None:
    @stage("test.liar", writes=("answer", "vars.x"))
    async def liar(question: str) -> dict[str, str]:
        return {"answer": "a"}

    (prediction,) = run_questions([step(liar())], [("q", "x")])
    assert prediction.error is not None
    assert prediction.error["message"] == "it declares that it writes answer, vars.x but returned the keys ['answer']"


def test_ctrl_c_stops_after_the_batch_and_keeps_its_answers(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import signal
    import threading

    from ragkit.engine.cache import CallCache
    from ragkit.engine.scheduler import Scheduler

    noticed = threading.Event()
    cancel = Scheduler.cancel

    def cancel_and_say(scheduler: Scheduler) -> None:
        cancel(scheduler)
        noticed.set()

    monkeypatch.setattr(Scheduler, "cancel", cancel_and_say)

    def answer(text: str) -> str:
        if text == "5":
            os.kill(os.getpid(), signal.SIGINT)
            assert noticed.wait(300)  # the main thread notices while the batch goes on, however busy the machine is
        return text

    cache = CallCache(tmp_path / "calls.sqlite")
    with pytest.raises(KeyboardInterrupt):
        run_questions([step(Ask(model=FakeModel(answer=answer, most=10)))], questions(40), cache=cache)
    assert len(cache) == 10


def test_an_exception_group_of_a_task_group_is_recorded() -> None:
    @stage("test.group", writes="answer")
    async def group(question: str) -> str:
        import asyncio

        async def fail() -> None:
            raise ValueError("inner")

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail())
        return ""

    (prediction,) = run_questions([step(group())], [("q", "x")])
    assert prediction.error is not None
    assert "inner" in prediction.error["traceback"]
