"""Retrieval of whole pages."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any, Self

from pydantic import Field, model_validator

from ragkit.engine.calls import try_search
from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Documents, Hit, Passage
from ragkit.errors import InputError
from ragkit.index.base import Index
from ragkit.index.filters import Filter

PageKey = tuple[str, int]


@stage("retrieve.pages", writes="documents")
class RetrievePages(Stage):
    """Find pages, within the document that the question is about or among all of them.

    Each part of the index ranks pages; a page stands where the best of its passages stands. One part's ranking is
    taken with its scores, several are fused: a page scores the sum of weight / (constant + rank) over the rankings that
    hold it. Equal scores stand in the order of documents and page numbers, and exactly k pages come back as long as
    there are so many: within a document, pages that no part found follow with score 0.

    Source: Chia et al. 2025, M-LongDoc, arXiv 2411.06176, section 3.3; Cormack, Clarke and Büttcher 2009, Reciprocal
    Rank Fusion.
    """

    index: Index
    k: int = Field(5, ge=1, description="pages to return")
    parts: tuple[str, ...] | None = Field(None, min_length=1, description="parts to search; all by default")
    constant: int = Field(60, ge=0, description="of the fusion; the higher, the less the first ranks weigh")
    weights: dict[str, float] = Field({}, description="how much each part counts, by its name; 1 if it is not named")
    depth: int = Field(1000, ge=1, description="passages that each part ranks")
    where: Filter | None = Field(None, description="what the metadata of pages must be like")

    @model_validator(mode="after")
    def _parts_are_there(self) -> Self:
        try:
            self.index.check_parts(self._searched())
        except InputError as error:
            raise ValueError(str(error)) from None
        for name in self.weights:
            if name not in self._searched():
                raise ValueError(f"'weights' names '{name}', which is not searched ({', '.join(self._searched())})")
        return self

    async def run(self, queries: tuple[str, ...], document: str | None = None, where: Any = None) -> Documents:
        """Rank pages; `vars.document` is the id of the document to look in, `vars.where` a further filter."""
        named = None if document is None else Filter.parse({"field": "document", "equals": document}, "vars.document")
        asked = None if where is None else Filter.parse(where, "vars.where")
        condition = _both(_both(self.where, named), asked)
        affordable = list(itertools.takewhile(lambda _: try_search(), queries))
        searches = [(part, query) for query in affordable for part in self._searched()]
        depth = max(self.depth, self.k)
        found = await asyncio.gather(*(self.index.search(part, query, depth, condition) for part, query in searches))
        weights = [self.weights.get(part, 1.0) for part, _ in searches]
        pages = rank_pages(found, weights, self.constant)[: self.k]
        if len(pages) < self.k and named is not None and condition is not None:
            pages += self._rest(condition, pages)
        return tuple(pages)

    def _searched(self) -> Sequence[str]:
        return self.index.parts if self.parts is None else self.parts

    def _rest(self, condition: Filter, pages: Sequence[Passage]) -> list[Passage]:
        """Return pages of the document that no part found, until there are k."""
        there = {_key(page) for page in pages}
        rest: dict[PageKey, Passage] = {}
        for passage in self.index.select(condition, self.depth):
            if (key := _key(passage)) not in there:
                rest.setdefault(key, passage.model_copy(update={"score": 0.0}))
        return [rest[key] for key in sorted(rest)][: self.k - len(pages)]


def rank_pages(rankings: Sequence[Documents], weights: Sequence[float], constant: int) -> list[Passage]:
    """Return the best passage of each page: by the scores of one ranking, or by weighted reciprocal ranks of several.

    Args:
        rankings: of passages, best first; what has no page counts as the page of its document.
        weights: of the rankings.
        constant: is added to ranks, which count from 1.
    """
    best: dict[PageKey, Passage] = {}
    scores: dict[PageKey, float] = {}
    hits: dict[PageKey, list[Hit]] = {}
    for ranking, weight in zip(rankings, weights, strict=True):
        for rank, (key, passage) in enumerate(_pages(ranking).items(), start=1):
            best.setdefault(key, passage)
            own = weight / (constant + rank) if len(rankings) > 1 else passage.score or 0.0
            scores[key] = scores.get(key, 0.0) + own
            hits.setdefault(key, []).extend(hit._replace(rank=rank) for hit in passage.hits)
    order = sorted(best, key=lambda key: (-scores[key], key))
    return [best[key].model_copy(update={"score": scores[key], "hits": tuple(hits[key])}) for key in order]


def _pages(ranking: Documents) -> dict[PageKey, Passage]:
    """Return the best passage of each page, best page first; of equal scores the earlier page."""
    pages: dict[PageKey, Passage] = {}
    scored = all(passage.score is not None for passage in ranking)
    for passage in sorted(ranking, key=lambda each: (-(each.score or 0.0), _key(each))) if scored else ranking:
        pages.setdefault(_key(passage), passage)
    return pages


def _key(passage: Passage) -> PageKey:
    page = passage.metadata.get("page")
    return str(passage.metadata.get("document") or passage.id), page if isinstance(page, int) else 0


def _both(first: Filter | None, second: Filter | None) -> Filter | None:
    return second if first is None else first if second is None else first & second
