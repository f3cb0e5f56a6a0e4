"""BM25 by rank-bm25: slow and in memory, to check the scores of the other engine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import need
from ragkit.index.sparse.counts import Counts, read_vocabulary
from ragkit.index.sparse.settings import REFERENCES, SparseSettings


class ReferenceEngine:
    """Passes the counted terms to the class of rank-bm25 that stands for the variant; its scores are left as they are.

    Passages without any term of the query, and deleted ones, get 0 (BM25Plus gives them more).
    """

    def __init__(self, folder: Path, settings: SparseSettings) -> None:
        counts = Counts(folder)
        self._numbers = read_vocabulary(folder)
        self._terms, self._owners = counts.columns["terms"], np.repeat(np.arange(len(counts.sizes)), counts.sizes)
        self._present = np.delete(np.arange(len(counts.sizes)), counts.deleted)
        self._passages = len(counts.sizes)
        words, ends = list(self._numbers), np.cumsum(counts.sizes, dtype=np.int64)
        corpus = []
        for position in self._present:
            pairs = slice(ends[position] - counts.sizes[position], ends[position])
            occurrences = np.repeat(self._terms[pairs], counts.columns["frequencies"][pairs])
            corpus.append([words[number] for number in occurrences])
        self._bm25 = rank_bm25(settings, corpus) if len(self._terms) else None  # it divides by the number of words

    def scores(self, terms: Sequence[str]) -> tuple[NDArray[np.floating], float]:
        """Return the score of each passage, and 0 (nothing is to be added)."""
        scores = np.zeros(self._passages)
        known = [term for term in terms if term in self._numbers]
        if self._bm25 is not None and known:
            scores[self._present] = self._bm25.get_scores(known)
            holds = np.isin(self._terms, [self._numbers[term] for term in known])
            scores[np.bincount(self._owners, holds, self._passages) == 0] = 0
        return scores, 0.0


def rank_bm25(settings: SparseSettings, corpus: Sequence[Sequence[str]]) -> Any:
    """Return rank-bm25's object for a variant over the words of passages, of which one at least has some."""
    constants = {"k1": settings.k1, "b": settings.b}
    if settings.method != "robertson":
        constants["delta"] = settings.delta
    return getattr(need("rank_bm25", "rank-bm25", "engine: rank-bm25"), REFERENCES[settings.method])(
        corpus, **constants
    )
