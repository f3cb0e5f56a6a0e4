"""Reciprocal rank fusion."""

from collections.abc import Sequence

from ragkit.engine.state import Documents, Hit, Passage


def reciprocal_rank_fusion(rankings: Sequence[Documents], constant: int, limit: int) -> Documents:
    """Merge rankings: a passage scores the sum of 1 / (constant + rank) over the rankings that hold it.

    Ranks count from 1. Equal scores stay in the order of first appearance, ranking by ranking. A passage keeps all of
    its hits.

    Args:
        rankings: each best first.
        constant: the higher, the less the first ranks weigh.
        limit: the most passages to return.

    Source: Cormack, Clarke and Büttcher 2009, Reciprocal Rank Fusion outperforms Condorcet and individual Rank
    Learning Methods (their constant is 60).
    """
    scores: dict[str, float] = {}
    passages: dict[str, Passage] = {}
    hits: dict[str, dict[Hit, None]] = {}
    for ranking in rankings:
        for rank, passage in enumerate(ranking, start=1):
            passages.setdefault(passage.id, passage)
            scores[passage.id] = scores.get(passage.id, 0.0) + 1.0 / (constant + rank)
            hits.setdefault(passage.id, {}).update(dict.fromkeys(passage.hits))
    best = sorted(scores, key=lambda name: -scores[name])[:limit]
    return tuple(passages[name].model_copy(update={"score": scores[name], "hits": tuple(hits[name])}) for name in best)
