"""Rankings fused into one: by reciprocal ranks, or by weighted sums of normalised scores."""

import itertools
import statistics
from collections.abc import Collection, Mapping, Sequence

from ragkit.engine.state import Documents, Hit, Passage
from ragkit.index.settings import FusionSettings, Normalisation

Scored = Sequence[tuple[str, float]]
"""Passage ids with their scores, best first."""


def fuse(rankings: Mapping[str, Scored], settings: FusionSettings, limit: int) -> list[tuple[str, float]]:
    """Fuse the rankings of parts, by name, as the settings say; the best `limit` passages."""
    weights = [settings.weights.get(name, 1.0) for name in rankings]
    if settings.method == "reciprocal_rank":
        names = [[name for name, _ in ranking] for ranking in rankings.values()]
        return fuse_ranks(names, settings.k, limit, weights)
    return fuse_scores(list(rankings.values()), weights, settings.normalisation, limit)


def fuse_ranks(
    rankings: Sequence[Sequence[str]], constant: int, limit: int, weights: Sequence[float] | None = None
) -> list[tuple[str, float]]:
    """Score a passage by the weighted sum of 1 / (constant + rank) over the rankings that hold it.

    Ranks count from 1. Equal scores stay in the order of first appearance, ranking by ranking.

    Args:
        rankings: ids, each ranking best first.
        constant: the higher, the less the first ranks weigh.
        limit: the most passages to return.
        weights: of the rankings; 1 each by default.

    Source: Cormack, Clarke and Büttcher 2009, Reciprocal Rank Fusion outperforms Condorcet and individual Rank
    Learning Methods (their constant is 60, and their rankings weigh the same).
    """
    scores: dict[str, float] = {}
    for ranking, weight in zip(rankings, weights or itertools.repeat(1.0, len(rankings)), strict=True):
        for rank, name in enumerate(ranking, start=1):
            scores[name] = scores.get(name, 0.0) + weight / (constant + rank)
    return _best(scores, limit)


def fuse_scores(
    rankings: Sequence[Scored], weights: Sequence[float], normalisation: Normalisation, limit: int
) -> list[tuple[str, float]]:
    """Score a passage by the weighted sum of its normalised scores.

    A passage that a ranking does not hold gets the lowest normalised score of that ranking (0 with `min_max`, and from
    an empty ranking), because all that is known of it is that it scores no higher. So rankings are best taken deep.
    Equal scores stay in the order of first appearance, ranking by ranking.

    Source: Fox and Shaw 1994, Combination of Multiple Searches (CombSUM).
    """
    scores = dict.fromkeys((name for ranking in rankings for name, _ in ranking), 0.0)
    for ranking, weight in zip(rankings, weights, strict=True):
        values = normalise([score for _, score in ranking], normalisation)
        lowest = 0.0 if normalisation == "min_max" or not values else min(values)
        known = dict(zip((name for name, _ in ranking), values, strict=True))
        for name in scores:
            scores[name] += weight * known.get(name, lowest)
    return _best(scores, limit)


def normalise(scores: Sequence[float], how: Normalisation) -> list[float]:
    """Return scores scaled to 0 ... 1 (`min_max`), or to mean 0 and standard deviation 1 (`z_score`).

    Where all scores are equal they become 1 (`min_max`) or 0 (`z_score`).
    """
    if how == "none" or not scores:
        return list(scores)
    if how == "min_max":
        low, high = min(scores), max(scores)
        return [(score - low) / (high - low) if high > low else 1.0 for score in scores]
    mean, deviation = statistics.fmean(scores), statistics.pstdev(scores)
    return [(score - mean) / deviation if deviation > 0 else 0.0 for score in scores]


def reciprocal_rank_fusion(rankings: Sequence[Documents], constant: int, limit: int) -> Documents:
    """Merge rankings of passages by `fuse_ranks`; a passage keeps all of its hits."""
    passages: dict[str, Passage] = {}
    hits: dict[str, dict[Hit, None]] = {}
    for ranking in rankings:
        for passage in ranking:
            passages.setdefault(passage.id, passage)
            hits.setdefault(passage.id, {}).update(dict.fromkeys(passage.hits))
    best = fuse_ranks([[passage.id for passage in ranking] for ranking in rankings], constant, limit)
    return tuple(passages[name].model_copy(update={"score": score, "hits": tuple(hits[name])}) for name, score in best)


def choose_weights(
    rankings: Sequence[Mapping[str, Scored]],
    relevant: Sequence[Collection[str]],
    settings: FusionSettings,
    k: int,
    steps: int = 20,
) -> dict[str, float]:
    """Return the weights of the parts, which sum to 1, with the highest mean recall@k on validation questions.

    All multiples of 1 / steps are tried; of equally good ones, those nearest to equal weights are taken.

    Args:
        rankings: of each question, the rankings of the parts by name; every question has the same parts.
        relevant: of each question, the ids of the relevant passages; questions without any are left out.
        settings: how the rankings are fused; its own weights are not looked at.
        k: passages that count.
        steps: the fineness of the grid.
    """
    asked = [(ranking, set(ids)) for ranking, ids in zip(rankings, relevant, strict=True) if ids]
    names = list(rankings[0]) if rankings else []

    def recall(weights: Mapping[str, float]) -> float:
        own = settings.model_copy(update={"weights": dict(weights)})
        found = ({name for name, _ in fuse(ranking, own, k)} for ranking, _ in asked)
        return sum(len(best & ids) / len(ids) for best, (_, ids) in zip(found, asked, strict=True))

    grid = [point for point in itertools.product(range(steps + 1), repeat=len(names)) if sum(point) == steps]
    grid.sort(key=lambda point: sum((share * len(point) - steps) ** 2 for share in point))
    candidates = [{name: share / steps for name, share in zip(names, point, strict=True)} for point in grid]
    return max(candidates, key=recall) if asked else {}


def _best(scores: Mapping[str, float], limit: int) -> list[tuple[str, float]]:
    return sorted(scores.items(), key=lambda item: -item[1])[:limit]
