"""Find many passages by their words, then order them by meaning."""

import asyncio
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from ragkit.engine.stage import stage
from ragkit.engine.state import Documents
from ragkit.index.fields import DEFAULT_FIELDS, SearchField, searched_text
from ragkit.index.filters import Filter
from ragkit.models.base import Encoder, Reranker
from ragkit.stages.retrieve import Retrieve


@stage("retrieve.two_stage", writes="documents")
class RetrieveTwoStage(Retrieve):
    """Find `k_coarse` passages by BM25, and order exactly these by an encoder or a reranker; `k` of them are returned.

    BM25 reads the fields that the index names under `sparse: fields`, titles and abstracts, say. Equal scores keep the
    order of BM25. The score of a passage is the cosine of its vector with the query's, or that of the reranker; its
    hits tell what BM25 said.

    Source: Yue et al. 2024 (RARG), arXiv 2403.14952, evidence collection.
    """

    encoder: Encoder | None = Field(None, description="orders the candidates by the cosine with the query")
    reranker: Reranker | None = Field(None, description="orders the candidates, instead")
    k_coarse: int = Field(100, ge=1, description="candidates that BM25 finds")
    fields: tuple[SearchField, ...] = Field(
        DEFAULT_FIELDS, min_length=1, description="what encoder or reranker read of a passage: title, section, text"
    )

    @model_validator(mode="after")
    def _somebody_orders(self) -> Self:
        if (self.encoder is None) == (self.reranker is None):
            raise ValueError("name either 'encoder' or 'reranker'")
        if self.k_coarse < self.k:
            raise ValueError(f"k_coarse ({self.k_coarse}) must not be below k ({self.k})")
        return self

    def searched(self) -> tuple[str, ...]:
        return ("sparse",)

    async def search(self, query: str, where: Filter | None) -> Documents:
        found = await self.index.search("sparse", query, self.k_coarse, where)
        if not found:
            return ()
        scores = await self._scores(
            query, [searched_text(passage.page_content, passage.metadata, self.fields) for passage in found]
        )
        ranked = sorted(zip(scores, found, strict=True), key=lambda pair: -pair[0])
        return tuple(passage.model_copy(update={"score": score}) for score, passage in ranked[: self.k])

    async def _scores(self, query: str, texts: list[str]) -> list[float]:
        if self.reranker is not None:
            return await asyncio.gather(*(self.reranker.score(query, text) for text in texts))
        assert self.encoder is not None  # noqa: S101 - the validator sees to it
        asked, *vectors = await asyncio.gather(
            self.encoder.embed(query), *(self.encoder.embed(text, "passage") for text in texts)
        )
        matrix = np.stack(vectors)
        lengths = np.linalg.norm(matrix, axis=1) * np.linalg.norm(asked)
        cosines: list[float] = (matrix @ asked / np.maximum(lengths, 1e-12)).tolist()
        return cosines
