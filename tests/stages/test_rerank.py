import asyncio

import pytest

from ragkit.engine.state import Passage
from ragkit.models.scripted import OverlapReranker
from ragkit.stages.rerank import RerankCrossEncoder

FOUND = (
    Passage(id="a", page_content="It grows in paddies.", metadata={"title": "Rice"}),
    Passage(id="b", page_content="It grows on dry plains.", metadata={"title": "Wheat"}),
    Passage(id="c", page_content="Wheat grows.", metadata={}),
)


@pytest.mark.parametrize(
    ("fields", "order"),
    [(("title", "text"), ["b", "c", "a"]), (("text",), ["c", "a", "b"]), (("title",), ["b", "a", "c"])],
)
def test_the_reranker_reads_the_fields_that_are_named(fields, order):
    stage = RerankCrossEncoder(reranker=OverlapReranker(), fields=fields)
    ranked = asyncio.run(stage.run("wheat", FOUND))
    assert [passage.id for passage in ranked] == order
    assert ranked[0].score == max(passage.score for passage in ranked)


def test_only_the_best_are_kept():
    ranked = asyncio.run(RerankCrossEncoder(reranker=OverlapReranker(), k=1).run("dry wheat", FOUND))
    assert [passage.id for passage in ranked] == ["b"]
