"""From candidates to rankings that depend neither on the batch nor on the length asked for, nor on chance in ties."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ragkit.index.dense.backend import Backend
from ragkit.index.dense.embedding import Vectors
from ragkit.index.part import Ranking, Selection

Rescore = Callable[[Vectors, NDArray[np.int64]], Vectors]
"""Scores of (query, position) pairs, computed pair by pair; positions below 0 are left alone."""

_SPARE = 16
_WIDER = 8
_CELLS = 1 << 22  # candidates held at once


def rank(
    backend: Backend,
    queries: Vectors,
    k: int,
    allowed: Selection | None,
    total: int,
    rescore: Rescore | None = None,
    tolerance: float = 0.0,
) -> list[Ranking]:
    """Return the k best allowed positions of each query, equal scores in the order of positions.

    A few candidates more than k are fetched. A ranking is settled when the worst of them is clearly behind the k-th
    best: by more than the backend's scores can be off. Otherwise more are fetched for that query.

    Args:
        backend: finds the candidates.
        queries: shape (queries, dimension).
        k: the longest ranking.
        allowed: the positions that may be returned; None for all.
        total: the number of vectors in the index.
        rescore: gives the scores that count; None to take the backend's.
        tolerance: how far the backend's scores may be off.
    """
    rankings: list[Ranking] = [[] for _ in range(len(queries))]
    k = min(k, total if allowed is None else int(allowed.sum()))
    if k == 0:
        return rankings
    rows = np.arange(len(queries))
    fetch = _first_fetch(backend, len(queries), k, allowed, total)
    while len(rows):
        step = max(1, _CELLS // fetch)
        unsettled = []
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            scores, positions = backend.find(queries[part], fetch, allowed)
            found, settled = _order(queries[part], scores, positions, k, allowed, rescore, tolerance)
            for row, ranking, done in zip(part.tolist(), found, settled.tolist(), strict=True):
                if done or fetch >= total:
                    rankings[row] = ranking
                else:
                    unsettled.append(row)
        rows = np.array(unsettled, dtype=np.int64)
        fetch = min(total, fetch * _WIDER)
    return rankings


def _first_fetch(backend: Backend, queries: int, k: int, allowed: Selection | None, total: int) -> int:
    wanted = k + _SPARE
    if backend.graph_width is not None:  # a longer list than the graph keeps would make it search wider
        wanted = max(k + 1, min(wanted, backend.graph_width))
    if allowed is not None and not backend.selects(queries, allowed):
        wanted = int(wanted * total / allowed.sum()) + 1
    return min(total, wanted)


def _order(
    queries: Vectors,
    scores: Vectors,
    positions: NDArray[np.int64],
    k: int,
    allowed: Selection | None,
    rescore: Rescore | None,
    tolerance: float,
) -> tuple[list[Ranking], NDArray[np.bool_]]:
    """Return the rankings of some queries, and which of them are settled."""
    complete = positions[:, -1] < 0  # fewer than asked for: there are no more
    worst = scores[:, -1]
    valid = positions >= 0
    if allowed is not None:
        valid &= allowed[positions]
    exact = scores if rescore is None else rescore(queries, positions)
    exact = np.where(valid, exact, -np.inf)
    if not (exact[:, :-1] > exact[:, 1:]).all():  # FAISS hands them over in order, but for ties
        rows, order = np.arange(len(queries))[:, None], np.lexsort((positions, -exact), axis=-1)[:, :k]
        exact, positions = exact[rows, order], positions[rows, order]
    exact, positions = exact[:, :k], positions[:, :k]
    lengths = np.minimum(valid.sum(axis=1), k)
    settled = complete | ((lengths == k) & (exact[:, -1] > worst + tolerance))
    columns = zip(positions.tolist(), exact.tolist(), lengths.tolist(), strict=True)
    return [list(zip(places[:length], values[:length], strict=True)) for places, values, length in columns], settled
