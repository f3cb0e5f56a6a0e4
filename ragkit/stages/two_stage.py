"""Find many passages by their words, then order them by meaning."""

import asyncio
from collections.abc import Sequence
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from ragkit.engine.stage import stage
from ragkit.engine.state import Documents
from ragkit.index.fields import DEFAULT_FIELDS, SearchField, searched_text
from ragkit.index.filters import PASSAGE_ID, Filter
from ragkit.index.fusion import normalise
from ragkit.models.base import Encoder, Reranker
from ragkit.stages.retrieve import Retrieve


@stage("retrieve.two_stage", writes="documents")
class RetrieveTwoStage(Retrieve):
    """Find `k_coarse` passages by BM25, order exactly these by meaning, and return the best `k` of them.

    BM25 reads the fields that the index names under `sparse: fields`, titles and abstracts, say. The vectors of the
    candidates that the index keeps are compared with the query's, so only the query is encoded. Where it keeps none,
    an `encoder` embeds the candidates; a `reranker` reads query and passage together instead. With a `weight` below 1
    the scores of BM25 count too, both scaled to 0 ... 1 over the candidates. Equal scores keep the order of BM25.

    Source: Yue et al. 2024 (RARG), arXiv 2403.14952, evidence collection.
    """

    encoder: Encoder | None = Field(None, description="orders the candidates; by default the index's own vectors do")
    reranker: Reranker | None = Field(None, description="orders the candidates, instead")
    k_coarse: int = Field(100, ge=1, description="candidates that BM25 finds")
    weight: float = Field(1.0, ge=0, le=1, description="of meaning against words in the order of the candidates")
    fields: tuple[SearchField, ...] = Field(
        DEFAULT_FIELDS, min_length=1, description="what encoder or reranker read of a passage: title, section, text"
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.encoder is not None and self.reranker is not None:
            raise ValueError("name 'encoder' or 'reranker', not both")
        if self.k_coarse < self.k:
            raise ValueError(f"k_coarse ({self.k_coarse}) must not be below k ({self.k})")
        return self

    def searched(self) -> tuple[str, ...]:
        return ("sparse",) if self.encoder or self.reranker else ("sparse", "dense")

    async def search(self, query: str, where: Filter | None) -> Documents:
        found = await self.index.search("sparse", query, self.k_coarse, where)
        if not found:
            return ()
        if self.encoder is None and self.reranker is None:
            scored = await self._by_vectors(query, found)
        else:
            texts = [searched_text(passage.page_content, passage.metadata, self.fields) for passage in found]
            scored = _scored(found, await self._scores(query, texts))
        if self.weight < 1:
            words, meaning = (normalise([p.score or 0.0 for p in ranking], "min_max") for ranking in (found, scored))
            both = zip(words, meaning, strict=True)
            scored = _scored(scored, [(1 - self.weight) * word + self.weight * sense for word, sense in both])
        return tuple(sorted(scored, key=lambda passage: -(passage.score or 0.0))[: self.k])

    async def _by_vectors(self, query: str, found: Documents) -> Documents:
        """Return the candidates in their order, with the scores of the dense part."""
        these = Filter(field=PASSAGE_ID, is_in=[passage.id for passage in found])
        near = {passage.id: passage for passage in await self.index.search("dense", query, len(found), these)}
        return tuple(
            passage.model_copy(update={"score": near[passage.id].score, "hits": passage.hits + near[passage.id].hits})
            for passage in found
        )

    async def _scores(self, query: str, texts: Sequence[str]) -> list[float]:
        if self.reranker is not None:
            return await asyncio.gather(*(self.reranker.score(query, text) for text in texts))
        assert self.encoder is not None  # noqa: S101 - `search` sees to it
        asked, *vectors = await asyncio.gather(
            self.encoder.embed(query), *(self.encoder.embed(text, "passage") for text in texts)
        )
        matrix = np.stack(vectors)
        lengths = np.linalg.norm(matrix, axis=1) * np.linalg.norm(asked)
        cosines: list[float] = (matrix @ asked / np.maximum(lengths, 1e-12)).tolist()
        return cosines


def _scored(passages: Documents, scores: Sequence[float]) -> Documents:
    return tuple(p.model_copy(update={"score": score}) for p, score in zip(passages, scores, strict=True))
