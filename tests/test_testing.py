"""The conformance check passes what behaves and names what does not."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ragkit import Documents, Stage, stage
from ragkit.models.base import LanguageModel
from ragkit.models.scripted import OverlapReranker, ScriptedModel
from ragkit.stages.answer import AnswerRead
from ragkit.stages.context import ContextPack
from ragkit.stages.rerank import RerankCrossEncoder
from ragkit.testing import check_stage


@pytest.mark.parametrize(
    "make",
    [
        lambda: AnswerRead(model=ScriptedModel(default="1.5 m [1]")),
        lambda: ContextPack(model=ScriptedModel(default="x"), tokens=10),
        lambda: RerankCrossEncoder(reranker=OverlapReranker(), k=1),
    ],
)
def test_ragkit_s_own_stages_pass(make: Callable[[], Stage]) -> None:
    check_stage(make())


def test_a_stage_with_a_memory_of_its_own_is_caught() -> None:
    seen: list[str] = []

    @stage("bad.counting", writes="vars.count")
    class Counting(Stage):
        """Count calls."""

        async def run(self, question: str) -> int:
            seen.append(question)
            return len(seen)

    with pytest.raises(AssertionError, match="the first time"):
        check_stage(Counting())


def test_a_stage_that_chokes_on_no_documents_is_caught() -> None:
    @stage("bad.first", writes="answer")
    class First(Stage):
        """Quote the first passage."""

        async def run(self, documents: Documents) -> str:
            return documents[0].page_content

    with pytest.raises(IndexError):
        check_stage(First())


def test_a_stage_that_reads_a_variable_needs_a_value() -> None:
    @stage("good.hops", writes="answer")
    class Hops(Stage):
        """Say how many hops."""

        async def run(self, hops: int) -> str:
            return str(hops)

    with pytest.raises(AssertionError, match=r"check_stage\(stage, hops=\.\.\.\)"):
        check_stage(Hops())
    check_stage(Hops(), hops=2)


def test_the_stage_of_the_contributing_guide_works() -> None:
    guide = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    code = guide.split("```python\n")[1].split("```")[0]
    space: dict[str, Any] = {"__name__": "my_package.stages"}
    exec(compile(code, "CONTRIBUTING.md", "exec"), space)
    model: LanguageModel = ScriptedModel(rules=[{"contains": "Potato", "reply": " no"}], default=" yes")
    kept = space["RelevantOnly"](model=model)
    check_stage(kept)
    from ragkit.testing import _EXAMPLES

    documents = asyncio.run(kept.run("How deep?", _EXAMPLES["documents"]))
    assert [d.id for d in documents] == ["guide.pdf#p1.c0"]
