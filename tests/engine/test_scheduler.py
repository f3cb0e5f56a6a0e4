import asyncio
from pathlib import Path
from typing import Any

import pytest
from engine_fakes import Ask, FakeModel, FakeRemote, Hop, questions, step

from ragkit.engine.cache import CallCache
from ragkit.engine.conditions import Condition
from ragkit.engine.controls import Loop
from ragkit.engine.run import RunOptions, run_questions
from ragkit.engine.stage import Stage, stage
from ragkit.errors import RagkitError

HOPS = Condition(field="answer", equals="done")


def hop_loop(model: FakeModel) -> list[Loop]:
    return [Loop(do=(step(Hop(model=model)),), until=HOPS, max=4)]


def test_a_loop_of_unequal_lengths_runs_in_full_batches() -> None:
    model = FakeModel()
    predictions = run_questions(hop_loop(model), questions(1000))
    assert model.sizes == [1000, 750, 500, 250]
    assert [p.vars["hops"] for p in predictions] == [n % 4 + 1 for n in range(1000)]


def test_the_same_inputs_give_the_same_batches_in_the_same_order() -> None:
    first, second = FakeModel(most=64), FakeModel(most=64)
    run_questions(hop_loop(first), questions(500))
    run_questions(hop_loop(second), questions(500))
    assert first._batches == second._batches


def test_batched_results_equal_one_at_a_time() -> None:
    together = run_questions(hop_loop(FakeModel()), questions(40))
    alone = [run_questions(hop_loop(FakeModel()), [question])[0] for question in questions(40)]
    assert [p.to_row() for p in together] == [p.to_row() for p in alone]


def test_identical_calls_in_flight_are_made_once_and_counted_for_each() -> None:
    model = FakeModel()
    predictions = run_questions([step(Ask(model=model))], [(str(n), "same") for n in range(7)])
    assert model._batches == [["same"]]
    assert all(p.usage.model_calls == 1 and p.usage.prompt_tokens == 3 for p in predictions)


def test_calls_side_by_side_in_one_stage_share_a_batch() -> None:
    @stage("test.fan", writes="vars.replies")
    class Fan(Stage):
        """Ask five things at once."""

        model: FakeModel

        async def run(self, question: str) -> list[str]:
            return list(await asyncio.gather(*(self.model.ask(f"{question}-{n}") for n in range(5))))

    model = FakeModel()
    run_questions([step(Fan(model=model))], questions(10))
    assert model.sizes == [50]


def test_a_second_pipeline_makes_no_call_that_the_first_made(tmp_path: Path) -> None:
    model, reader = FakeModel(), FakeModel(name="reader")
    cache = CallCache(tmp_path / "calls.sqlite")
    run_questions([step(Ask(model=model))], questions(20), cache=cache)
    first = step(Ask(model=model), "first")
    run_questions([first, step(Ask(model=reader, prefix="x"), "second")], questions(20), cache=cache)
    assert model.sizes == [20]
    assert reader.sizes == [20]


def test_another_fingerprint_is_another_call(tmp_path: Path) -> None:
    cache = CallCache(tmp_path / "calls.sqlite")
    run_questions([step(Ask(model=FakeModel(name="a")))], questions(3), cache=cache)
    other = FakeModel(name="b")
    run_questions([step(Ask(model=other))], questions(3), cache=cache)
    assert other.sizes == [3]


def test_a_fully_cached_run_does_not_open_the_model(tmp_path: Path) -> None:
    cache = CallCache(tmp_path / "calls.sqlite")
    run_questions([step(Ask(model=FakeModel()))], questions(3), cache=cache)
    again = FakeModel()
    predictions = run_questions([step(Ask(model=again))], questions(3), cache=cache)
    assert again._opened_times == 0
    assert [p.answer for p in predictions] == ["<0>", "<1>", "<2>"]


def test_a_request_that_breaks_its_batch_fails_alone() -> None:
    def answer(text: str) -> str:
        if text == "13":
            raise ValueError("unlucky")
        return text

    model = FakeModel(answer=answer)
    predictions = run_questions([step(Ask(model=model))], questions(32))
    failed = [p for p in predictions if p.error]
    assert [p.question for p in failed] == ["13"]
    assert failed[0].error is not None and failed[0].error["message"] == "unlucky"
    assert all(p.answer == p.question for p in predictions if not p.error)


def test_a_model_that_cannot_be_opened_ends_the_run() -> None:
    class Broken(FakeModel):
        def open(self) -> None:
            raise RagkitError("no such weights")

    with pytest.raises(RagkitError, match="no such weights"):
        run_questions([step(Ask(model=Broken()))], questions(5))


def test_longest_requests_come_first_and_batches_keep_to_the_limit() -> None:
    class Sized(FakeModel):
        def measure(self, batch: Any) -> None:
            for request in batch:
                request.size = len(request.args["text"])

    model = Sized(most=2)
    run_questions([step(Ask(model=model))], [("a", "x"), ("b", "xxx"), ("c", "xx"), ("d", "xxxx")])
    assert model._batches == [["xxxx", "xxx"], ["xx", "x"]]


def test_in_flight_limits_the_questions_on_their_way() -> None:
    model = FakeModel()
    predictions = run_questions([step(Ask(model=model))], questions(10), options=RunOptions(in_flight=4))
    assert model.sizes == [4, 4, 2]
    assert [p.id for p in predictions] == [name for name, _ in questions(10)]


def test_remote_calls_are_bounded_retried_and_fail_alone() -> None:
    class BusyError(Exception):
        status_code = 429

    def behave(text: str, attempt: int) -> str:
        if text == "3" and attempt < 3:
            raise BusyError("slow down")
        if text == "5":
            raise ValueError("never works")
        return text

    remote = FakeRemote(behave=behave, concurrency=3, backoff=0.001)
    predictions = run_questions([step(Ask(model=remote))], questions(12))
    assert remote._most == 3
    assert remote._attempts["3"] == 3
    assert remote._attempts["5"] == 1
    assert [p.question for p in predictions if p.error] == ["5"]


def test_remote_retries_end(tmp_path: Path) -> None:
    def behave(text: str, attempt: int) -> str:
        raise TimeoutError("too slow")

    remote = FakeRemote(behave=behave, retries=2, backoff=0.001)
    (prediction,) = run_questions([step(Ask(model=remote))], questions(1))
    assert remote._attempts == {"0": 3}
    assert prediction.error is not None and prediction.error["type"] == "TimeoutError"


def test_works_inside_a_running_event_loop() -> None:
    async def cell() -> list[Any]:
        return run_questions([step(Ask(model=FakeModel()))], questions(3))

    assert [p.answer for p in asyncio.run(cell())] == ["<0>", "<1>", "<2>"]


def test_local_calls_go_on_while_remote_calls_wait() -> None:
    remote = FakeRemote(behave=lambda text, attempt: text)
    local = FakeModel()

    @stage("test.both", writes="answer")
    class Both(Stage):
        """Ask a remote and a local model at once."""

        remote: FakeRemote
        local: FakeModel

        async def run(self, question: str) -> str:
            return "+".join(await asyncio.gather(self.remote.ask(question), self.local.ask(question)))

    predictions = run_questions([step(Both(remote=remote, local=local))], questions(6))
    assert [p.answer for p in predictions] == [f"{n}+<{n}>" for n in range(6)]
    assert local.sizes == [6]


def test_progress_reaches_the_total() -> None:
    seen: list[tuple[str, int, int]] = []
    run_questions([step(Ask(model=FakeModel(most=4)))], questions(10), on_progress=lambda *told: seen.append(told))
    assert seen == [("model ask", 0, 10), ("model ask", 4, 10), ("model ask", 8, 10), ("model ask", 10, 10)]
