"""The best of many scores, with equals in the order of their positions."""

import numpy as np
from numpy.typing import NDArray

from ragkit.index.part import Ranking, Selection

_STRETCH = 256


def best(
    scores: NDArray[np.floating],
    k: int,
    allowed: Selection | None = None,
    *,
    base: float = 0.0,
    floor: float = 0.0,
) -> Ranking:
    """Return the k positions with the highest scores above `floor`.

    Args:
        scores: by position.
        k: the most positions.
        allowed: the positions that may be returned; None for all.
        base: is added to the scores that are returned.
        floor: the score of positions that do not match.
    """
    if allowed is not None:
        scores = np.where(allowed, scores, floor)
    bound = _bound(scores, k)
    found = np.flatnonzero(scores >= bound if bound > floor else scores > floor)
    if len(found) > k:
        least = np.partition(scores[found], -k)[-k]
        found = found[scores[found] >= least]
    order = np.lexsort((found, -scores[found]))[:k]
    first = found[order]
    return list(zip(first.tolist(), (scores[first] + base).tolist(), strict=True))


def _bound(scores: NDArray[np.floating], k: int) -> float:
    """Return a score that at least k positions reach: the k-th highest of the maxima of stretches of the array.

    That costs one fast pass and leaves few candidates, where a partition would move all scores about.
    """
    stretches = len(scores) // _STRETCH
    if stretches < k:
        return -np.inf
    maxima = scores[: stretches * _STRETCH].reshape(stretches, _STRETCH).max(axis=1)
    return float(np.partition(maxima, -k)[-k])
