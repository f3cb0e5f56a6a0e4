"""Rerank by late interaction."""

import asyncio

from pydantic import Field

from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Documents
from ragkit.index.multi_vector import max_sim
from ragkit.models.base import MultiVectorEncoder


@stage("rerank.colbert", writes="documents")
class RerankColbert(Stage):
    """Order passages by MaxSim: for each token of the question the most similar token of the passage, summed up.

    Passages without tokens score 0; equal scores keep their order. To search a whole corpus this way there is
    `retrieve.multi_vector`.

    Source: Khattab and Zaharia 2020, ColBERT, arXiv 2004.12832.
    """

    encoder: MultiVectorEncoder
    k: int | None = Field(None, ge=1, description="passages to keep; all by default")

    async def run(self, question: str, documents: Documents) -> Documents:
        """Score every passage and sort, best first."""
        if not documents:
            return ()
        embedding = (self.encoder.embed_tokens(d.page_content, "passage") for d in documents)
        query, *passages = await asyncio.gather(self.encoder.embed_tokens(question), *embedding)
        scores = [max_sim(query, passage) for passage in passages]
        ranked = sorted(zip(scores, documents, strict=True), key=lambda pair: -pair[0])
        return tuple(document.model_copy(update={"score": score}) for score, document in ranked[: self.k])
