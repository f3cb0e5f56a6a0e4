"""BM25 within a selection of passages: idf and mean length are those of the selection, not of the corpus."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ragkit.index.part import Ranking, Selection
from ragkit.index.sparse.counts import Counts, read_vocabulary
from ragkit.index.sparse.reference import rank_bm25
from ragkit.index.sparse.settings import SparseSettings
from ragkit.index.sparse.variants import absent, frequency_weight, idf
from ragkit.index.top import best


class FilteredEngine:
    """Scores a selection from the counts of its passages, anew for each search: meant for one document of many."""

    def __init__(self, folder: Path, settings: SparseSettings) -> None:
        self._counts, self._settings = Counts(folder), settings
        self._ends = np.cumsum(self._counts.sizes, dtype=np.int64)
        self._numbers = read_vocabulary(folder)
        self._words = list(self._numbers) if settings.engine == "rank-bm25" else []

    def search(self, terms: Sequence[str], k: int, allowed: Selection) -> Ranking:
        """Return the best k passages of a selection; passages without a term of the query are left out."""
        allowed = allowed.copy()
        allowed[self._counts.deleted] = False
        chosen = np.flatnonzero(allowed)
        known = [self._numbers[term] for term in terms if term in self._numbers]
        sizes = self._counts.sizes[chosen].astype(np.int64)
        if not known or not sizes.sum():
            return []
        ends = self._ends[chosen]
        items = np.concatenate([np.arange(end - size, end) for end, size in zip(ends, sizes, strict=True)])
        numbers, frequencies = (self._counts.columns[name][items] for name in ("terms", "frequencies"))
        owners = np.repeat(np.arange(len(chosen)), sizes)
        score = self._reference if self._words else self._variant
        scores, base = score(known, numbers, frequencies.astype(np.float64), owners, len(chosen))
        # rank-bm25 lets a common word of few passages count against them.
        floor = -np.inf if self._words else 0.0
        scores[np.bincount(owners, np.isin(numbers, known), len(chosen)) == 0] = floor
        return [(int(chosen[place]), value) for place, value in best(scores, k, base=base, floor=floor)]

    def _variant(
        self,
        known: Sequence[int],
        numbers: NDArray[np.int32],
        frequencies: NDArray[np.float64],
        owners: NDArray[np.int64],
        count: int,
    ) -> tuple[NDArray[np.float64], float]:
        """Return what `count` passages score above a passage without any of the terms, and what that one scores.

        `owners` are the passages of the terms (`numbers`).
        """
        lengths = np.bincount(owners, frequencies, count)
        scores, base = np.zeros(count), 0.0
        for number in known:
            held = numbers == number
            idfs = idf(self._settings, count, np.array([held.sum()]))
            relative = lengths[owners[held]] / lengths.mean()
            floor = absent(self._settings, idfs)
            missing = 0.0 if floor is None else float(floor[0])
            base += missing
            scores[owners[held]] += idfs[0] * frequency_weight(self._settings, frequencies[held], relative) - missing
        return scores, base

    def _reference(
        self,
        known: Sequence[int],
        numbers: NDArray[np.int32],
        frequencies: NDArray[np.float64],
        owners: NDArray[np.int64],
        count: int,
    ) -> tuple[NDArray[np.float64], float]:
        """Return what rank-bm25 makes of the same."""
        words = [self._words[number] for number in np.repeat(numbers, frequencies.astype(np.int64))]
        ends = np.cumsum(np.bincount(owners, frequencies, count).astype(np.int64))
        corpus = [words[end - size : end] for end, size in zip(ends, np.diff(ends, prepend=0), strict=True)]
        scores = rank_bm25(self._settings, corpus).get_scores([self._words[number] for number in known])
        return np.asarray(scores, np.float64), 0.0
