"""Find many passages by their words, then order them by meaning."""

import asyncio
from typing import Self

from pydantic import Field, model_validator

from ragkit.engine.stage import stage
from ragkit.engine.state import Documents
from ragkit.index.fields import DEFAULT_FIELDS, SearchField, searched_text
from ragkit.index.filters import PASSAGE_ID, Filter
from ragkit.models.base import Reranker
from ragkit.stages.retrieve import Retrieve


@stage("retrieve.two_stage", writes="documents")
class RetrieveTwoStage(Retrieve):
    """Find `k_coarse` passages by BM25, order exactly these by meaning, and return the best `k` of them.

    BM25 reads the fields that the index names under `sparse: fields`, titles and abstracts, say. The vectors of the
    candidates that the index keeps are compared with the query's, so only the query is encoded; a reranker reads query
    and passage instead. Equal scores keep the order of BM25.

    Source: Yue et al. 2024 (RARG), arXiv 2403.14952, evidence collection.
    """

    reranker: Reranker | None = Field(None, description="orders the candidates; by default the index's vectors do")
    k_coarse: int = Field(100, ge=1, description="candidates that BM25 finds")
    fields: tuple[SearchField, ...] = Field(
        DEFAULT_FIELDS, min_length=1, description="what the reranker reads of a passage: title, section, text"
    )

    @model_validator(mode="after")
    def _candidates_suffice(self) -> Self:
        if self.k_coarse < self.k:
            raise ValueError(f"k_coarse ({self.k_coarse}) must not be below k ({self.k})")
        return self

    def searched(self) -> tuple[str, ...]:
        return ("sparse", "dense") if self.reranker is None else ("sparse",)

    async def search(self, query: str, where: Filter | None) -> Documents:
        found = await self.index.search("sparse", query, self.k_coarse, where)
        if not found:
            return ()
        ordered = await (self._by_vectors(query, found) if self.reranker is None else self._reranked(query, found))
        return tuple(sorted(ordered, key=lambda passage: -(passage.score or 0.0))[: self.k])

    async def _by_vectors(self, query: str, found: Documents) -> Documents:
        """Return the candidates in their order, with the scores of the dense part."""
        these = Filter(field=PASSAGE_ID, is_in=[passage.id for passage in found])
        near = {passage.id: passage for passage in await self.index.search("dense", query, len(found), these)}
        return tuple(
            passage.model_copy(update={"score": near[passage.id].score, "hits": passage.hits + near[passage.id].hits})
            for passage in found
        )

    async def _reranked(self, query: str, found: Documents) -> Documents:
        """Return the candidates in their order, with the scores of the reranker."""
        assert self.reranker is not None  # noqa: S101 - `search` sees to it
        texts = [searched_text(passage.page_content, passage.metadata, self.fields) for passage in found]
        scores = await asyncio.gather(*(self.reranker.score(query, text) for text in texts))
        return tuple(passage.model_copy(update={"score": score}) for passage, score in zip(found, scores, strict=True))
