"""What must not hang a run, harm other questions, or slip past a budget."""

import asyncio
import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_fakes import Ask, FakeModel, FakeRemote, questions, step
from langchain_core.documents import Document
from pydantic import ValidationError

from ragkit.engine.cache import CallCache
from ragkit.engine.calls import Budget
from ragkit.engine.conditions import Condition
from ragkit.engine.controls import Each, Loop, Parallel
from ragkit.engine.nodes import Node
from ragkit.engine.run import RunOptions, run_questions
from ragkit.engine.stage import Stage, stage
from ragkit.errors import InputError, MissingPackageError, RagkitError
from ragkit.pipeline import Pipeline


def failed(nodes: list[Any], count: int = 3) -> list[str]:
    """Return the questions that failed; all others must have gone through."""
    predictions = run_questions(nodes, questions(count))
    assert len(predictions) == count
    return [p.question for p in predictions if p.error]


def test_stop_iteration_of_a_model_fails_its_question() -> None:
    def answer(text: str) -> str:
        if text == "1":
            raise StopIteration("empty")
        return text

    assert failed([step(Ask(model=FakeModel(answer=answer)))]) == ["1"]


def test_a_cache_that_cannot_be_written_ends_the_run(tmp_path: Path) -> None:
    class Full(CallCache):
        def store(self, replies: Any) -> None:
            raise RagkitError("the disk is full")

    for model in (FakeModel(), FakeRemote(behave=lambda text, attempt: text)):
        with pytest.raises(RagkitError, match="the disk is full"):
            run_questions([step(Ask(model=model))], questions(3), cache=Full(tmp_path / "calls.sqlite"))


@pytest.mark.parametrize("setting", [{"concurrency": 0}, {"timeout": 0}, {"retries": -1}, {"backoff": -1}])
def test_remote_settings_have_bounds(setting: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FakeRemote(behave=lambda text, attempt: text, **setting)


def test_a_remote_model_that_no_question_can_use_ends_the_run() -> None:
    def behave(text: str, attempt: int) -> str:
        raise MissingPackageError("pip install it")

    with pytest.raises(MissingPackageError):
        run_questions([step(Ask(model=FakeRemote(behave=behave)))], questions(3))


def test_weights_that_cannot_be_loaded_are_tried_once() -> None:
    tried: list[str] = []

    class Weightless(FakeModel):
        def load(self, op: str) -> None:
            tried.append(op)
            raise InputError("no such device")

    with pytest.raises(InputError, match="no such device"):
        run_questions([step(Ask(model=Weightless()))], questions(32))
    assert tried == ["ask"]


def test_a_condition_that_cannot_be_tested_fails_its_question() -> None:
    @stage("test.maybe", writes="vars.x")
    async def maybe(question: str) -> int | None:
        return None if question == "1" else 5

    loop = Loop(do=(step(maybe()),), until=Condition(field="vars.x", at_least=1), max=3)
    assert failed([loop]) == ["1"]


def test_documents_must_be_passages() -> None:
    @stage("test.plain_documents", writes="documents")
    async def plain(question: str) -> list[Document]:
        return [Document(page_content="x")] if question == "1" else []

    assert failed([step(plain())]) == ["1"]


def test_odd_values_reach_the_run_folder(tmp_path: Path) -> None:
    from ragkit.engine.state import Passage
    from ragkit.settings import RunSettings

    @stage("test.odd", writes=("documents", "vars.table", "media"))
    async def odd(question: str) -> dict[str, Any]:
        passage = Passage(id="a", page_content="x").model_copy(update={"score": np.float32(1)})
        return {"documents": [passage], "vars.table": {(1, 2): {3}}, "media": [{"image": 1}, {"image": 1}]}

    each = Each(over="queries", do=(step(odd()),))
    result = Pipeline([each], run=RunSettings(metrics=("em",))).run(["q"], out=tmp_path / "run")
    assert not result.failures
    assert result.rows[0]["documents"][0]["score"] == 1.0


def test_calls_made_side_by_side_cannot_overdraw_a_budget() -> None:
    @stage("test.ten", writes="vars.replies")
    class Ten(Stage):
        """Ask ten things at once."""

        model: FakeModel

        async def run(self, question: str) -> list[Any]:
            return list(await asyncio.gather(*(self.model.ask(f"{n}") for n in range(10)), return_exceptions=True))

    model = FakeModel()
    options = RunOptions(budget=Budget(model_calls=2))
    (prediction,) = run_questions([step(Ten(model=model))], questions(1), options=options)
    assert model.sizes == [2]
    assert prediction.flags == ("budget:model calls",)


def test_a_stage_that_swallows_a_used_up_budget_ends_the_question_all_the_same() -> None:
    @stage("test.swallow", writes="vars.kept")
    class Swallow(Stage):
        """Keep what could be had."""

        model: FakeModel

        async def run(self, question: str) -> list[str]:
            kept = []
            for n in range(4):
                try:
                    kept.append(await self.model.ask(f"{n}"))
                except RagkitError:
                    continue
            return kept

    nodes: list[Node] = [step(Swallow(model=FakeModel())), step(Ask(model=FakeModel(name="later")))]
    (prediction,) = run_questions(nodes, questions(1), options=RunOptions(budget=Budget(model_calls=1)))
    assert prediction.vars["kept"] == ("<0>",)
    assert prediction.flags == ("budget:model calls",)
    assert prediction.answer is None


def test_branches_do_not_share_values_that_can_change() -> None:
    @stage("test.make", writes="vars.d")
    async def make(question: str) -> dict[str, int]:
        return {"n": 0}

    def count(name: str) -> Node:
        @stage(f"test.count_{name}", writes=f"vars.{name}")
        async def body(d: dict[str, int]) -> int:
            d["n"] += 1
            return d["n"]

        return step(body())

    both = Parallel(branches={"a": (count("a"),), "b": (count("b"),)})
    (prediction,) = run_questions([step(make()), both], questions(1))
    assert (prediction.vars["a"], prediction.vars["b"]) == (1, 1)


def test_each_over_a_field_that_its_steps_write_is_refused() -> None:
    @stage("test.keep", writes="documents")
    async def keep(documents: tuple) -> tuple:
        return documents

    @stage("test.find_any", writes="documents")
    async def find(question: str) -> tuple:
        return ()

    with pytest.raises(InputError, match="the steps inside write 'documents', which gets its old value back"):
        Pipeline([find(), Each(over="documents", do=[keep()])])


def test_the_garbage_collector_is_as_before_after_overlapping_runs() -> None:
    from concurrent.futures import ThreadPoolExecutor

    usual = gc.get_threshold()
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(run_questions, [step(Ask(model=FakeModel()))], questions(50)) for _ in range(8)]:
            done.result()
    assert gc.get_threshold() == usual


def test_two_runs_share_a_model_one_at_a_time() -> None:
    import threading
    import time

    now, most = [0], [0]

    def answer(text: str) -> str:
        now[0] += 1
        most[0] = max(most[0], now[0])
        time.sleep(0.001)
        now[0] -= 1
        return text

    model = FakeModel(answer=answer)
    threads = [threading.Thread(target=run_questions, args=([step(Ask(model=model))], questions(20))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert model._opened_times == 1


def test_a_memory_starts_anew_with_each_run() -> None:
    from test_run import Notebook, Remember

    nodes = [step(Remember(memory=Notebook(), model=FakeModel()))]
    first = run_questions(nodes, questions(4), options=RunOptions(wave=2))
    second = run_questions(nodes, questions(4), options=RunOptions(wave=2))
    assert [p.vars["seen"] for p in first] == [p.vars["seen"] for p in second] == [0, 0, 2, 2]
