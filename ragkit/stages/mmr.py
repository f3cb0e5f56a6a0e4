"""Rerank for relevance and novelty at once."""

import asyncio
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Documents
from ragkit.errors import RagkitError
from ragkit.index.fusion import normalise
from ragkit.models.base import Encoder


@stage("rerank.mmr", writes="documents")
class RerankMMR(Stage):
    """Take passages one by one, each time the one that is relevant and unlike those taken (maximal marginal relevance).

    The next passage has the highest `weight x relevance - (1 - weight) x highest cosine with a passage taken`, which is
    its score; equals are taken in their old order.

    Source: Carbonell and Goldstein 1998, The Use of MMR, Diversity-Based Reranking, doi 10.1145/290941.291025.
    """

    encoder: Encoder
    weight: float = Field(0.5, ge=0, le=1, description="of relevance against novelty: 1 is relevance alone")
    relevance: Literal["cosine", "score"] = Field(
        "cosine", description="cosine: with the question | score: that of the stage before, scaled to 0 ... 1"
    )
    k: int | None = Field(None, ge=1, description="passages to keep; all by default")

    async def run(self, question: str, documents: Documents) -> Documents:
        """Return the passages in the order in which they are taken."""
        if not documents:
            return ()
        vectors = await asyncio.gather(*(self.encoder.embed(d.page_content, "passage") for d in documents))
        units = np.stack([_unit(vector) for vector in vectors])
        if self.relevance == "cosine":
            relevance = units @ _unit(await self.encoder.embed(question))
        else:
            relevance = np.array(_scaled(documents))
        likeness = np.full(len(documents), -np.inf)
        left = np.ones(len(documents), dtype=bool)
        taken = []
        for _ in range(min(self.k or len(documents), len(documents))):
            novelty = np.where(np.isfinite(likeness), likeness, 0.0)
            gains = np.where(left, self.weight * relevance - (1 - self.weight) * novelty, -np.inf)
            best = int(gains.argmax())
            taken.append(documents[best].model_copy(update={"score": float(gains[best])}))
            left[best] = False
            likeness = np.maximum(likeness, units @ units[best])
        return tuple(taken)


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return a vector with length 1; one without direction is like nothing."""
    exact = vector.astype(np.float64)
    length = float(np.linalg.norm(exact))
    return exact / length if length else exact


def _scaled(documents: Documents) -> list[float]:
    scores = [document.score for document in documents]
    if missing := next((d.id for d, score in zip(documents, scores, strict=True) if score is None), None):
        raise RagkitError(f"rerank.mmr with relevance: score needs a score of every passage, but '{missing}' has none")
    return normalise([score for score in scores if score is not None], "min_max")
