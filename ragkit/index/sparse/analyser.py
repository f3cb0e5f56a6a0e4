"""From texts to terms: one analyser for passages and queries.

Words are cut much as Lucene's StandardTokenizer cuts them (Unicode annex 29): runs of letters, marks and digits, also
of one character; apostrophes and full stops stay between letters (`don't`, `u.s`), points and commas between digits
(`3.5`). Scripts that are written without spaces, and Korean, whose particles hang on the word, are cut into
overlapping pairs of characters as Lucene's CJKBigramFilter does; Chinese and Korean characters also stand alone,
because they may be words (Nie et al. 2000, On the use of words and n-grams for Chinese information retrieval).
"""

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from ragkit.errors import need
from ragkit.index.sparse.settings import SparseSettings

# Most passages are plain ASCII, for which `re` is twice as fast and finds the same as `_UNICODE_WORD`.
_ASCII_WORD = re.compile(r"[a-z0-9]+(?:(?:(?<=[a-z])['.](?=[a-z])|(?<=[0-9])[.,](?=[0-9]))[a-z0-9]+)*")
_START, _MORE = r"[\p{L}\p{N}]", r"[\p{L}\p{M}\p{N}\u200c\u200d]*"
_INSIDE = r"(?:(?<=\p{L}\p{M}*)['.](?=\p{L})|(?<=\p{N})[.,](?=\p{N}))"
_UNICODE_WORD = rf"{_START}{_MORE}(?:{_INSIDE}{_START}{_MORE})*"
_ALONE = r"[\p{Han}\p{Hangul}]"
_SCRIPTS = r"\p{Han}\p{Hangul}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_UNSPACED = rf"[{_SCRIPTS}]"
_RUN = rf"{_UNSPACED}[{_SCRIPTS}\p{{M}}]*|[^{_SCRIPTS}]+"
_ACCENTED = r"(?<=\p{Latin})\p{Mn}+"
_MARKS = {0xAD: None, 0x2019: "'"}  # soft hyphens vanish, the typographic apostrophe is an apostrophe
_WITHOUT_ACCENTS = frozenset({"english", "porter", None})

_Step = Callable[[list[str]], list[str]]


class Analyser:
    """Turns texts into terms: words without stop words, accents folded, stemmed.

    Accents are folded before stemming if the stemmer's language has none; other stemmers get to see them.
    """

    def __init__(self, settings: SparseSettings) -> None:
        self._whitespace = settings.tokens == "whitespace"
        self._stopwords = _stopwords(settings.stopwords)
        self._steps: list[_Step] = [_stemmer(settings.stemmer)] if settings.stemmer else []
        if settings.fold_accents:
            self._steps.insert(0 if settings.stemmer in _WITHOUT_ACCENTS else 1, _fold)

    def __call__(self, text: str) -> list[str]:
        """Return the terms of a text in order."""
        return [term for term in self.terms(self.words(text)) if term is not None]

    def words(self, text: str) -> list[str]:
        """Return the words of a text in order, stop words too, as they are written in lower case.

        Of `tokens: whitespace` these are the stretches between white space, in their own case.
        """
        if self._whitespace:
            return text.split()
        if text.isascii():
            return _ASCII_WORD.findall(text.lower())
        text = unicodedata.normalize("NFKC", text.translate(_MARKS)).lower()
        words: list[str] = _pattern(_UNICODE_WORD).findall(text)
        if _pattern(_UNSPACED).search(text) is None:
            return words
        return [part for word in words for part in _parts(word)]

    def terms(self, words: Sequence[str]) -> list[str | None]:
        """Return the term of each word, None for stop words."""
        kept = [word for word in words if word not in self._stopwords]
        for step in self._steps:
            kept = step(kept)
        made = iter(kept)
        return [None if word in self._stopwords else next(made) for word in words]


@cache
def _pattern(pattern: str) -> Any:
    return need("regex", "regex", "BM25 on texts beyond ASCII").compile(pattern)


def _parts(word: str) -> Iterator[str]:
    """Return the parts of a word by script; an unspaced run becomes pairs of characters, and single ones."""
    for run in _pattern(_RUN).findall(word):
        if _pattern(_UNSPACED).match(run) is None:
            yield run
            continue
        if len(run) > 1:
            yield from map("".join, itertools.pairwise(run))
            yield from _pattern(_ALONE).findall(run)
        else:
            yield run


def _fold(words: list[str]) -> list[str]:
    return [word if word.isascii() else _without_accents(word) for word in words]


def _without_accents(word: str) -> str:
    plain = _pattern(_ACCENTED).sub("", unicodedata.normalize("NFD", word))
    return unicodedata.normalize("NFC", plain)


def _stopwords(language: str | None) -> frozenset[str]:
    if language is None:
        return frozenset()
    lists = need("bm25s.stopwords", "bm25s", "a sparse index")
    suffix = {"english": "EN", "english_plus": "EN_PLUS"}.get(language, language.upper())
    return frozenset(getattr(lists, f"STOPWORDS_{suffix}"))


def _stemmer(language: str) -> _Step:
    stemmer: Any = need("Stemmer", "PyStemmer", "stemming").Stemmer(language)
    stem: _Step = stemmer.stemWords
    return stem
