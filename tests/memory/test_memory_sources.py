"""The outside is any index: a retriever of langchain too, whose calls and time are counted."""

import asyncio
import json

import pytest
from known_vectors import KnownVectors
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from ragkit import Pipeline
from ragkit.engine.conditions import Condition
from ragkit.engine.controls import Branch, Each
from ragkit.index import LangChainRetriever
from ragkit.memory import Reservoir
from ragkit.settings import RunSettings
from ragkit.stages import MemoryRecall, MemoryStore, MemoryTrigger, RetrieveHybrid


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("RAGKIT_HOME", str(tmp_path / "home"))


class Web(BaseRetriever):
    """Answers slowly, with pages of one topic."""

    asked: list[str]

    def _get_relevant_documents(self, query, **kwargs):
        raise AssertionError("asked asynchronously")

    async def _aget_relevant_documents(self, query, **kwargs):
        self.asked.append(query)
        await asyncio.sleep(0.05)
        return [
            Document(page_content=f"Text {n}.", metadata={"title": "wheat", "link": f"https://Example.org/{n}/#top"})
            for n in range(4)
        ]


def test_a_web_search_is_asked_once_for_what_memory_knows_and_its_time_is_counted(tmp_path):
    web = Web(asked=[])
    index = LangChainRetriever.wrap(web, "web", id_field="link")
    encoder = KnownVectors(vectors={"wheat": (1.0, 0.0), "wheat?": (0.9, 0.1), "oil": (0.0, 1.0)})
    memory = Reservoir(encoder=encoder, path=tmp_path / "memory")
    outside = RetrieveHybrid(index=index, k=4)
    decided = Branch(
        on=Condition(field="vars.external", equals=True), then=(outside,), otherwise=(MemoryRecall(memory=memory),)
    )
    steps = [Each(over="queries", do=(MemoryTrigger(memory=memory), decided)), MemoryStore(memory=memory)]
    pipeline = Pipeline(steps, run=RunSettings(wave=1, cache=False, metrics=("searches",)))
    experiment = pipeline.run(["wheat", "wheat?", "oil"], out=tmp_path / "run")
    assert web.asked == ["wheat", "oil"]
    assert [row["usage"]["searches"] for row in experiment.rows] == [1, 0, 1]
    assert [row["usage"]["retriever_calls"] for row in experiment.rows] == [1, 0, 1]
    assert [len(row["documents"]) for row in experiment.rows] == [4, 4, 4]
    first, second, _ = (json.loads(line) for line in (tmp_path / "run" / "trace.jsonl").read_text().splitlines())
    assert first["seconds"] >= 0.05 > second["seconds"]
    calls = [call for event in second["stages"] for call in event.get("calls", ())]
    assert [(call["resource"], call["op"]) for call in calls] == [("KnownVectors", "embed"), ("Reservoir", "find")]
    assert [item.key for item in memory.store.items()] == [f"https://example.org/{n}" for n in range(4)]
