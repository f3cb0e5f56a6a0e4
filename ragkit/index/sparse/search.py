"""A BM25 index opened for searching."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import need
from ragkit.index.inverted import Inverted
from ragkit.index.part import Ranking, Selection
from ragkit.index.sparse.analyser import Analyser
from ragkit.index.sparse.filtered import FilteredEngine
from ragkit.index.sparse.reference import ReferenceEngine
from ragkit.index.sparse.settings import SparseSettings
from ragkit.index.top import best


class SparseIndex:
    """Searches the files of bm25s by memory map, or the same counts with rank-bm25."""

    def __init__(self, folder: Path, settings: SparseSettings) -> None:
        self._analyse = Analyser(settings)
        self._filtered = FilteredEngine(folder, settings) if settings.statistics == "filter" else None
        self._engine: _Bm25s | ReferenceEngine = (
            _Bm25s(folder) if settings.engine == "bm25s" else ReferenceEngine(folder, settings)
        )

    def search(self, queries: Sequence[str], k: int, allowed: Selection | None = None) -> list[Ranking]:
        """Return the best k passages of each query; passages without a word of the query are left out.

        Equal scores are ordered by position, so that the first passages of a longer ranking are the shorter ranking
        (bm25s itself leaves the choice among equals to NumPy's partition).
        """
        return [self._search(query, k, allowed) for query in queries]

    def _search(self, query: str, k: int, allowed: Selection | None) -> Ranking:
        terms = self._analyse(query)
        if self._filtered is not None and allowed is not None:
            return self._filtered.search(terms, k, allowed)
        scores, base = self._engine.scores(terms)
        return best(scores, k, allowed, base=base)


class _Bm25s:
    def __init__(self, folder: Path) -> None:
        bm25s = need("bm25s", "bm25s", "a sparse index")
        bm25 = bm25s.BM25.load(folder, mmap=True, allow_pickle=False, load_corpus=False, show_progress=False)
        self._numbers: dict[str, int] = bm25.vocab_dict
        self._absent: NDArray[np.float32] | None = bm25.nonoccurrence_array
        self._passages: int = bm25.scores["num_docs"]
        self._columns = Inverted(*(np.asarray(bm25.scores[name]) for name in ("data", "indices", "indptr")))

    def scores(self, terms: Sequence[str]) -> tuple[NDArray[np.float32], float]:
        """Return what passages score above the score of a passage without any of the terms, and that score."""
        scores = np.zeros(self._passages, np.float32)
        numbers = [number for term in terms if (number := self._numbers.get(term)) is not None]
        for number in numbers:
            np.add.at(scores, *self._columns.column(number))
        return scores, 0.0 if self._absent is None else float(self._absent[numbers].sum())
