import asyncio

import pytest
from pydantic import ValidationError

from ragkit.engine.calls import LocalResource
from ragkit.engine.state import Hit, Passage
from ragkit.index.base import Index
from ragkit.stages import RetrievePages
from ragkit.stages.pages import rank_pages
from ragkit.testing import check_stage


def passage(document, page, part="sparse", score=None, rank=1, name=""):
    return Passage(
        id=f"{document}#p{page}{name}",
        page_content=f"page {page}",
        metadata={"document": document, "page": page},
        score=score,
        hits=(Hit(part, "q", rank, score or 0.0),),
    )


def ranking(part, *pages, document="a.pdf"):
    return tuple(passage(document, page, part, 1 / n, n) for n, page in enumerate(pages, start=1))


def numbers(pages):
    return [page.metadata["page"] for page in pages]


class Shelf(Index, LocalResource):
    """An index with fixed rankings by part, and pages 1 ... 9 of a.pdf."""

    rankings: dict[str, tuple[tuple[int, float], ...]]

    @property
    def parts(self):
        return tuple(self.rankings)

    def fingerprint(self):
        return "shelf"

    def execute(self, op, batch):
        raise NotImplementedError

    async def search(self, part, query, k, where=None):
        found = [passage("a.pdf", page, part, score, n) for n, (page, score) in enumerate(self.rankings[part], start=1)]
        return tuple(found[:k])

    async def search_hybrid(self, query, k, depth=50, parts=None, where=None):
        raise NotImplementedError

    def fuse(self, rankings, k):
        raise NotImplementedError

    def select(self, where, count):
        return tuple(passage("a.pdf", page) for page in range(1, 10))[:count]


def run(shelf, document=None, **settings):
    stage = RetrievePages(index=Shelf(rankings=shelf), **settings)
    return asyncio.run(stage.run(("q",), document=document))


def test_reciprocal_ranks_are_summed_with_a_constant_of_sixty():
    """Rankings [A, B, C] and [B, A, C]: A = B = 1/61 + 1/62, C = 2/63; equals by page number."""
    pages = rank_pages([ranking("sparse", 1, 2, 3), ranking("dense", 2, 1, 3)], [1, 1], 60)
    assert numbers(pages) == [1, 2, 3]
    assert [page.score for page in pages] == pytest.approx([1 / 61 + 1 / 62, 1 / 61 + 1 / 62, 2 / 63])
    assert [(hit.stage, hit.rank) for hit in pages[0].hits] == [("sparse", 1), ("dense", 2)]


def test_weights_decide_between_parts():
    pages = rank_pages([ranking("sparse", 1, 2), ranking("dense", 2, 1)], [1, 2], 60)
    assert numbers(pages) == [2, 1]


def test_equal_scores_give_exactly_k_pages_with_the_lowest_numbers():
    shelf = {"sparse": tuple((page, 0.5) for page in (7, 3, 9, 1, 5))}
    assert numbers(run(shelf, k=3)) == [1, 3, 5]


def test_one_part_keeps_its_scores():
    pages = run({"sparse": ((4, 7.5), (2, 3.0))}, k=5)
    assert [(page.metadata["page"], page.score) for page in pages] == [(4, 7.5), (2, 3.0)]


def test_a_page_stands_where_its_best_passage_stands():
    found = (passage("a.pdf", 2, score=0.9, name=".c1"), passage("a.pdf", 1, score=0.8), passage("a.pdf", 2, score=0.7))
    pages = rank_pages([found], [1], 60)
    assert [page.id for page in pages] == ["a.pdf#p2.c1", "a.pdf#p1"]


def test_more_than_there_are_gives_all_pages_of_the_document():
    pages = run({"sparse": ((4, 7.5),)}, document="a.pdf", k=20)
    assert numbers(pages) == [4, 1, 2, 3, 5, 6, 7, 8, 9]
    assert [page.score for page in pages[1:]] == [0.0] * 8


def test_pages_of_several_documents_are_ranked_side_by_side():
    found = (*ranking("sparse", 1, document="b.pdf"), *ranking("sparse", 1, document="a.pdf"))
    assert [page.id for page in rank_pages([found], [1], 60)] == ["a.pdf#p1", "b.pdf#p1"]


def test_a_ranking_without_scores_keeps_its_order():
    found = (passage("a.pdf", 9), passage("a.pdf", 2))
    assert numbers(rank_pages([found, found], [1, 1], 60)) == [9, 2]


def test_weights_name_parts_that_are_searched():
    with pytest.raises(ValidationError, match="names 'dense', which is not searched"):
        RetrievePages(index=Shelf(rankings={"sparse": ()}), weights={"dense": 2})
    with pytest.raises(ValidationError, match="no dense part"):
        RetrievePages(index=Shelf(rankings={"sparse": ()}), parts=("dense",))


def test_the_stage_behaves_as_the_engine_expects():
    check_stage(RetrievePages(index=Shelf(rankings={"sparse": ((1, 1.0),), "dense": ((2, 1.0),)})))
