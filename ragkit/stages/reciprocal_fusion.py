"""Rerank by the ranks at which passages were found."""

from pydantic import Field

from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Documents


@stage("rerank.reciprocal_fusion", writes="documents")
class RerankReciprocalFusion(Stage):
    """Order passages by the sum of `weight / (constant + rank)` over all rankings that found them.

    A ranking is what one part of an index found for one query, as the passages' `hits` tell: this is how rankings of
    several queries, of `each` and of `parallel` branches become one. A passage that no ranking found scores 0 and stays
    behind the others; equal scores keep their order.

    Source: Cormack, Clarke and Büttcher 2009, Reciprocal Rank Fusion, doi 10.1145/1571941.1572114.
    """

    constant: int = Field(60, ge=0, description="the higher, the less the first ranks weigh")
    weights: dict[str, float] = Field({}, description="of rankings by the part that made them (`dense: 2`), else 1")
    k: int | None = Field(None, ge=1, description="passages to keep; all by default")

    async def run(self, documents: Documents) -> Documents:
        """Fuse the rankings that the passages tell of."""
        found: dict[tuple[str, str], dict[str, int]] = {}
        for document in documents:
            for hit in document.hits:
                ranking = found.setdefault((hit.stage, hit.query), {})
                ranking[document.id] = min(hit.rank, ranking.get(document.id, hit.rank))
        scores = {document.id: 0.0 for document in documents}
        for (part, _), ranks in found.items():
            weight = self.weights.get(part, 1.0)
            for identifier, rank in ranks.items():
                scores[identifier] += weight / (self.constant + rank)
        ranked = sorted(documents, key=lambda document: -scores[document.id])
        return tuple(d.model_copy(update={"score": scores[d.id]}) for d in ranked[: self.k])
