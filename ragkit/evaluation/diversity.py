"""How much many texts differ from each other: what a collapsed model loses first."""

from collections import Counter
from collections.abc import Sequence

from ragkit.stages.refuting.response import words

_OPENING = 3


def distinct(texts: Sequence[str], size: int) -> float:
    """Return the different n-grams of texts as a share of all their words; 0 for texts without words.

    Source: distinct-n of Li et al. 2016, arXiv 1510.03055, with words as the denominator.
    """
    grams: set[tuple[str, ...]] = set()
    number = 0
    for text in texts:
        found = words(text)
        number += len(found)
        grams.update(zip(*(found[start:] for start in range(size)), strict=False))
    return len(grams) / number if number else 0.0


def commonest_opening(texts: Sequence[str]) -> tuple[str, float]:
    """Return the three words that most texts begin with, and the share that does."""
    openings = Counter(" ".join(words(text)[:_OPENING]) for text in texts)
    if not openings:
        return "", 0.0
    opening, number = openings.most_common(1)[0]
    return opening, number / len(texts)
