"""Rerank by a cross-encoder."""

import asyncio

from pydantic import Field

from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Documents
from ragkit.index.fields import DEFAULT_FIELDS, SearchField, searched_text
from ragkit.models.base import Reranker


@stage("rerank.cross_encoder", writes="documents")
class RerankCrossEncoder(Stage):
    """Order passages by a model that reads question and passage together; equal scores keep their order.

    Source: Nogueira and Cho 2019, Passage Re-ranking with BERT, arXiv 1901.04085.
    """

    reranker: Reranker
    k: int | None = Field(None, ge=1, description="passages to keep; all by default")
    fields: tuple[SearchField, ...] = Field(
        DEFAULT_FIELDS, min_length=1, description="what the reranker reads of a passage: title, section, text"
    )

    async def run(self, question: str, documents: Documents) -> Documents:
        """Score every passage and sort, best first."""
        texts = [searched_text(document.page_content, document.metadata, self.fields) for document in documents]
        scores = await asyncio.gather(*(self.reranker.score(question, text) for text in texts))
        ranked = sorted(zip(scores, documents, strict=True), key=lambda pair: -pair[0])
        return tuple(document.model_copy(update={"score": score}) for score, document in ranked[: self.k])
