"""Text as it was written: plain characters, words and paragraphs whole again."""

import re
import unicodedata
from collections.abc import Iterable
from functools import cached_property
from itertools import pairwise

from ragkit.documents.text import clean

_LINE_END_HYPHEN = re.compile(r"(\w+)[-\u2010\u00ad]\n(\w+)")
_UNSTORABLE = re.compile("[\ud800-\udfff]")
_AROUND = ".,;:!?()[]\"'\u2018\u2019\u201c\u201d"
_ITEM = re.compile(r"(?:[•●○▪■□◦➢✓–—*]|\(?(?:\d{1,2}|[a-z])[.)])\s")
_WRAPPED_LINE = 30
# Word writes its bullets in Symbol and Wingdings, which have no Unicode mapping.
_BULLETS = str.maketrans("\uf0b7\uf0a7\uf0d8", "••➢")
_GARBAGE = re.compile(r"[\ufffd\ue000-\uf8ff\x01-\x08\x0e-\x1f\x7f-\x9f]")
_LEADER = re.compile(r"[ \t]*(?:\.[ \t]?){4,}[ \t]*")
_LEAST_LETTERS = 10
_LEAST_PART = 4


def normalised(text: str) -> str:
    """Return lines in NFKC (ligatures apart, full-width forms plain), without blank lines and rows of dots."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", clean(text) if _UNSTORABLE.search(text) else text)
        if "\uf0b7" in text or "\uf0a7" in text or "\uf0d8" in text:
            text = text.translate(_BULLETS)
    if "\0" in text:
        text = clean(text)
    if "....." in text or ". . . ." in text:
        text = _LEADER.sub(" ... ", text)
    return "\n".join([joined for line in text.splitlines() if (joined := " ".join(line.split()))])


def is_garbage(text: str) -> bool:
    """Say whether a page's text is too short to be read, or mostly of characters that stand for nothing."""
    if text.isascii():
        return len(text) < 10 * _LEAST_LETTERS and len("".join(text.split())) < _LEAST_LETTERS
    odd = len(_GARBAGE.findall(text))
    letters = len(text) - text.count(" ") - text.count("\n")
    return letters < _LEAST_LETTERS or odd > 0.3 * letters


class Mender:
    """Joins words that a line end parted, and the lines of a paragraph.

    A hyphen at a line end stays if the word is written with it elsewhere in the document (`long-term`), if both parts
    are words of the document and the whole is not (`water-soluble`), or if what follows does not start with a small
    letter; otherwise it goes.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = list(texts)

    @cached_property
    def _words(self) -> frozenset[str]:
        return frozenset("\n".join(self._texts).lower().replace("\u2010", "-").split())

    @cached_property
    def _hyphenated(self) -> frozenset[str]:
        parts = [word.strip(_AROUND).split("-") for word in self._words if "-" in word]
        return frozenset(f"{left}-{right}" for word in parts for left, right in pairwise(word) if left and right)

    def words(self, text: str) -> str:
        """Join the words that a line end parts."""
        if "-\n" in text or "\u2010\n" in text or "\u00ad\n" in text:
            return _LINE_END_HYPHEN.sub(self._join, text)
        return text

    def paragraph(self, text: str) -> str:
        """Join words, and each line with the next where it ends at the right margin.

        It does if it is long, and nearly as long as the block's longest.
        """
        if "\n" not in text:
            return text
        lines = text.split("\n")
        full = max(_WRAPPED_LINE, 0.7 * max(map(len, lines)))
        joined = [lines[0]]
        for line, following in pairwise(lines):
            # A hyphen is judged with the line end behind it; the items of a list stay apart.
            ends = len(line) < full or line[-1] in "-\u2010\u00ad" or _ITEM.match(following)
            joined += ("\n" if ends else " ", following)
        return self.words("".join(joined))

    def line(self, text: str) -> str:
        """Join words, and make one line of it."""
        return " ".join(self.words(text).split())

    def _join(self, match: re.Match[str]) -> str:
        left, right = match.groups()
        whole = f"{left}-{right}"
        keep = not right[0].islower() or whole.lower() in self._hyphenated or self._is_compound(left, right)
        # A soft hyphen stands for nothing but the end of a line.
        return whole if keep and "\u00ad" not in match.group() else left + right

    def _is_compound(self, left: str, right: str) -> bool:
        left, right = left.lower(), right.lower()
        if min(len(left), len(right)) < _LEAST_PART or left + right in self._words:
            return False
        return left in self._words and right in self._words
