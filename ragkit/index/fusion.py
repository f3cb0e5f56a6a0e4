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
    passages: dict[str, Passage] = {}
    hits: dict[str, dict[Hit, None]] = {}
    for ranking in rankings:
        for passage in ranking:
            passages.setdefault(passage.id, passage)
            hits.setdefault(passage.id, {}).update(dict.fromkeys(passage.hits))
    best = fuse_ranks([[passage.id for passage in ranking] for ranking in rankings], constant, limit)
    return tuple(passages[name].model_copy(update={"score": score, "hits": tuple(hits[name])}) for name, score in best)


def fuse_ranks(rankings: Sequence[Sequence[str]], constant: int, limit: int) -> list[tuple[str, float]]:
    """Return ids with their reciprocal-rank scores, best first; see `reciprocal_rank_fusion`."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, name in enumerate(ranking, start=1):
            scores[name] = scores.get(name, 0.0) + 1.0 / (constant + rank)
    return sorted(scores.items(), key=lambda item: -item[1])[:limit]
