"""Cut texts so that they fit under a number of tokens together."""

import math
from collections.abc import Sequence

from ragkit.models.base import LanguageModel

_TIGHTER = 0.95


def shares(sizes: Sequence[int], room: int) -> list[int]:
    """Return how many tokens each text may keep: all of the short ones, and of the others the same number.

    Args:
        sizes: tokens of each text.
        room: tokens of all together.
    """
    allowed = list(sizes)
    left, level = room, 0
    for position, waiting in zip(
        sorted(range(len(sizes)), key=sizes.__getitem__), range(len(sizes), 0, -1), strict=True
    ):
        level = min(sizes[position], left // waiting)
        allowed[position] = level
        left -= level
    return allowed


async def shorten(text: str, size: int, most: int, model: LanguageModel) -> str:
    """Return the beginning of a text that has at most so many tokens, cut between words.

    Args:
        text: the text.
        size: its tokens.
        most: tokens to keep.
        model: whose tokens they are.
    """
    kept = text
    while size > most:
        length = math.floor(len(kept) * most / size * (1.0 if kept is text else _TIGHTER))
        kept = _whole_words(kept, length)
        size = await model.count_tokens(kept)
    return kept


def _whole_words(text: str, length: int) -> str:
    """Return at most so many characters of a text, without the word in which they end."""
    if length >= len(text):
        return text
    cut = text[:length]
    if not text[length : length + 1].isspace():
        head = cut.rstrip().rpartition(" ")[0] if " " in cut.strip() else ""
        cut = max(head, cut.rpartition("\n")[0], key=len)
    return cut.rstrip()
