"""BM25 through bm25s, with one analyser for passages and queries."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ragkit.errors import need
from ragkit.index.part import Ranking
from ragkit.index.settings import SparseSettings

TOKEN_PATTERN = r"(?u)\b\w\w+\b"  # noqa: S105 - words of at least two letters or digits


def analyser(settings: SparseSettings) -> Callable[[str], list[str]]:
    """Return the function that turns a text into terms: NFKC, lower case, words, no stop words, stems."""
    words = re.compile(TOKEN_PATTERN)
    stop = _stopwords(settings.stopwords)
    stem = _stem(settings.stemmer)

    def analyse(text: str) -> list[str]:
        found = words.findall(unicodedata.normalize("NFKC", text).lower())
        return stem([word for word in found if word not in stop])

    return analyse


def _stopwords(language: str | None) -> frozenset[str]:
    if language is None:
        return frozenset()
    lists = need("bm25s.stopwords", "bm25s", "a sparse index")
    suffix = {"english": "EN", "english_plus": "EN_PLUS"}.get(language, language.upper())
    return frozenset(getattr(lists, f"STOPWORDS_{suffix}"))


def _stem(language: str | None) -> Callable[[list[str]], list[str]]:
    if language is None:
        return lambda words: words
    stemmer: Any = need("Stemmer", "PyStemmer", "stemming").Stemmer(language)
    stem: Callable[[list[str]], list[str]] = stemmer.stemWords
    return stem


def build_sparse(texts: Sequence[str], settings: SparseSettings, folder: Path) -> None:
    """Compute the BM25 scores of all (word, passage) pairs and write them."""
    analyse = analyser(settings)
    # The empty word keeps the vocabulary from being empty, which bm25s cannot handle.
    vocabulary: defaultdict[str, int] = defaultdict(lambda: len(vocabulary), {"": 0})
    terms = [[vocabulary[word] for word in analyse(text)] for text in texts]
    bm25 = need("bm25s", "bm25s", "a sparse index").BM25(
        method=settings.method, k1=settings.k1, b=settings.b, delta=settings.delta
    )
    with np.errstate(divide="ignore", invalid="ignore"):  # the mean length is 0 if no passage has a word
        bm25.index((terms, dict(vocabulary)), show_progress=False)
    bm25.save(folder, allow_pickle=False, show_progress=False)


class SparseIndex:
    """A BM25 index opened for searching."""

    def __init__(self, folder: Path, settings: SparseSettings) -> None:
        bm25s = need("bm25s", "bm25s", "a sparse index")
        self._bm25 = bm25s.BM25.load(folder, mmap=True, allow_pickle=False, load_corpus=False, show_progress=False)
        self._analyse = analyser(settings)

    def search(self, queries: Sequence[str], k: int) -> list[Ranking]:
        """Return the best k passages of each query; passages without a word of the query are left out.

        Equal scores are ordered by position, so that the first passages of a longer ranking are the shorter ranking
        (bm25s itself leaves the choice among equals to NumPy's partition).
        """
        return [self._search(query, k) for query in queries]

    def _search(self, query: str, k: int) -> Ranking:
        terms = self._bm25.get_tokens_ids(self._analyse(query))
        if not terms:
            return []
        scores = self._bm25.get_scores_from_ids(terms)
        matching = np.flatnonzero(scores > self._score_without_match(terms))
        if len(matching) > k:
            least = np.partition(scores[matching], -k)[-k]
            matching = matching[scores[matching] >= least]
        order = np.lexsort((matching, -scores[matching]))[:k]
        best = matching[order]
        return list(zip(best.tolist(), scores[best].tolist(), strict=True))

    def _score_without_match(self, terms: list[int]) -> float:
        """Return what a passage without any of the words scores: more than 0 in bm25l and bm25+."""
        floor = self._bm25.nonoccurrence_array
        return 0.0 if floor is None else float(floor[terms].sum()) * (1 + 1e-6)
