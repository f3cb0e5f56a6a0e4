"""Words in rows: which stand beside each other, which belong together, and which are numbers."""

import re
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from ragkit.documents.pdf.content import Word
from ragkit.documents.pdf.geometry import union

PREFIXES = frozenset(["$", "€", "£", "¥", "US$", "C$", "A$", "R$", "Rs.", "Rs", "₹", "~", "±"])
SUFFIXES = frozenset([")", "%", ")%", "%)", "*", "**", "***", "†", "‡", "x", "bps", ")*"])
_VALUE = re.compile(r"[\d.,:;%$€£()\[\]/*±+~<>≤≥=\-\u2010-\u2015\u2212\s]+|n/?a|nil|na|none|tr|[x✓✗✔✘•]", re.IGNORECASE)


class Segment(NamedTuple):
    """Words of a row that stand close together."""

    x0: float
    x1: float
    words: tuple[Word, ...]


Row = list[Segment]


def is_value(text: str) -> bool:
    """Say whether a cell holds a number or a mark that stands for one."""
    return bool(_VALUE.fullmatch(text)) and (any(map(str.isdigit, text)) or len(text) <= 4)


def text_rows(words: Sequence[Word]) -> list[list[Word]]:
    """Return words that stand beside each other, from the top down, each row from left to right."""
    rows: list[list[Word]] = []
    bottom = middle = 0.0
    for word in sorted(words, key=lambda word: word.box[1] + word.box[3]):
        _, top, _, low = word.box
        centre = (top + low) / 2
        if rows and centre < bottom and centre - middle < 0.45 * max(low - top, bottom - middle):
            rows[-1].append(word)
        else:
            rows.append([word])
            middle, bottom = centre, low
    for row in rows:
        row.sort(key=lambda word: word.box[0])
    return rows


def segments(row: Sequence[Word], gap: float) -> Row:
    """Join the words of a row that stand closer than `gap`."""
    found: list[list[Word]] = []
    reach = 0.0
    for word in row:
        height = word.box[3] - word.box[1]
        # Large letters have large spaces; numbers that stand beside each other belong to different columns.
        least = 0.33 * height if found and _are_values(found[-1][-1], word) else max(gap, 0.35 * height)
        if found and word.box[0] - reach < least:
            found[-1].append(word)
            reach = max(reach, word.box[2])
        else:
            found.append([word])
            reach = word.box[2]
    return [Segment(words[0].box[0], max(word.box[2] for word in words), tuple(words)) for words in found]


def _are_values(left: Word, right: Word) -> bool:
    return right.text[0].isdigit() and left.text[-1] in "0123456789%)" and is_value(left.text) and is_value(right.text)


def with_signs(row: Sequence[Word]) -> list[Word]:
    """Put currency signs to the number after them, and per cent signs and closing brackets to the one before."""
    joined: list[Word] = []
    for word in row:
        gap = word.box[0] - joined[-1].box[2] if joined else 0.0
        # No wider than a space, they are in one cell anyway, and the space stays.
        if gap > 0.4 * (word.box[3] - word.box[1]) and (
            (joined[-1].text in PREFIXES and is_value(word.text))
            or (word.text in SUFFIXES and is_value(joined[-1].text) and gap < 12)
        ):
            last = joined.pop()
            joined.append(Word(union([last.box, word.box]), last.text + word.text, last.line, last.bold))
        else:
            joined.append(word)
    return joined


def height_of(words: Sequence[Word]) -> float:
    """Return the usual height of the words."""
    return median(word.box[3] - word.box[1] for word in words) if words else 0.0
