import asyncio

import pytest
from engine_fakes import Ask, FakeModel
from pydantic import ValidationError

from ragkit.engine.calls import LocalResource
from ragkit.engine.stage import Stage, stage
from ragkit.errors import InputError, RagkitError


def test_the_signature_is_the_contract() -> None:
    @stage("test.contract", writes=("answer", "vars.score"))
    class Contract(Stage):
        """Read some, write some."""

        async def run(self, question: str, documents: tuple = (), external: bool = False, depth: int = 1) -> dict:
            return {}

    assert Contract.reads == {"question": True, "documents": False, "vars.external": False, "vars.depth": False}
    assert Contract.writes == ("answer", "vars.score")


def test_a_stage_is_tried_by_calling_it() -> None:
    assert asyncio.run(Ask(model=FakeModel(), prefix="p").run("q")) == "<pq>"


def test_settings_are_typed_and_unknown_keys_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Ask(model=FakeModel(), prefx="x")
    with pytest.raises(ValidationError, match="instance of LocalResource"):
        Ask(model="a name")


def test_stages_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Ask(model=FakeModel()).prefix = "x"  # type: ignore[misc]


def test_a_plain_async_function_is_a_stage() -> None:
    @stage("test.upper", writes="answer")
    async def upper(question: str, tone: str = "!") -> str:
        """Shout."""
        return question.upper() + tone

    assert upper.reads == {"question": True, "vars.tone": False}
    assert asyncio.run(upper().run(question="a")) == "A!"
    assert upper.__doc__ == "Shout."


@pytest.mark.parametrize(
    ("writes", "message"),
    [("question", "cannot write 'question'"), ("id", "cannot write 'id'"), ("anwser", "cannot write 'anwser'")],
)
def test_only_real_fields_can_be_written(writes: str, message: str) -> None:
    async def body(question: str) -> str:
        return question

    with pytest.raises(RagkitError, match=message):
        stage("test.bad", writes=writes)(body)


def test_run_must_be_async() -> None:
    class Plain(Stage):
        """Not async."""

        def run(self, question: str) -> str:
            return question

    with pytest.raises(RagkitError, match="async def"):
        stage("test.plain", writes="answer")(Plain)


def test_two_stages_cannot_share_a_name() -> None:
    class Other(Stage):
        """Another one."""

        model: LocalResource

        async def run(self, question: str) -> str:
            return question

    with pytest.raises(InputError, match=r"two stages are called 'test\.ask'"):
        stage("test.ask", writes="answer")(Other)
