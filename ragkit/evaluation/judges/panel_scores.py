"""The scores of a panel of judges: how they are read, and how they become one."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

LOWEST, HIGHEST = 1, 5
SCORES = tuple(str(score) for score in range(LOWEST, HIGHEST + 1))
# A year, a fraction and a grade of another scale are no scores.
_SCORE = re.compile(rf"\s*([{LOWEST}-{HIGHEST}])(?![\w]|[.,]\d)")

Pool = Literal["judges", "draws"]
Draws = Mapping[str, Sequence[float | None]]
"""The scores that each judge gave, None for a draw without one."""


def read_score(text: str, label: str = "Correctness") -> int | None:
    """Return the score that a reply begins with, or that stands after its label; None if there is none.

    The grammar is strict, since a reply's last number may be a year or the scale: `4 out of 5` is 4, `2023` is none.

    Args:
        text: the reply.
        label: of the form's line, which a reply may repeat.
    """
    _, found, rest = text.rpartition(f"{label}:")
    match = _SCORE.match(rest if found else text)
    return int(match[1]) if match else None


@dataclass(frozen=True, slots=True)
class PanelScore:
    """What a panel gave one answer.

    Attributes:
        value: 1 to 5; None if no draw of any judge, or with pool `judges` none of one judge, gave a score.
        by_judge: the mean of each judge's draws, None if none gave a score.
        missing: the share of draws without a score.
    """

    value: float | None
    by_judge: dict[str, float | None]
    missing: float


def pooled(draws: Draws, pool: Pool = "judges") -> PanelScore:
    """Return the score of an answer from what all judges gave it.

    Args:
        draws: of each judge.
        pool: `judges` takes the mean of the judges' means, so that each counts alike however many of its draws gave a
            score; `draws` the mean of all draws.

    Source: Chia et al. 2025, M-LongDoc, arXiv 2411.06176, equation 1 (three judges, five draws each).
    """
    known = {judge: [score for score in own if score is not None] for judge, own in draws.items()}
    by_judge = {judge: math.fsum(own) / len(own) if own else None for judge, own in known.items()}
    total, given = sum(map(len, draws.values())), [score for own in known.values() for score in own]
    means = [mean for mean in by_judge.values() if mean is not None]
    if pool == "draws":
        value = math.fsum(given) / len(given) if given else None
    else:
        value = math.fsum(means) / len(means) if means and len(means) == len(draws) else None
    return PanelScore(value, by_judge, 1 - len(given) / total if total else 0.0)


def expected_score(probabilities: Mapping[str, float]) -> float:
    """Return the mean of the scores, weighted by their probabilities, which need not add up to 1.

    Source: Liu et al. 2023 (G-Eval), arXiv 2303.16634.

    Raises:
        ValueError: no score has a probability.
    """
    total = math.fsum(probabilities.values())
    if total <= 0:
        raise ValueError("no score has a probability")
    return math.fsum(int(score) * probability for score, probability in probabilities.items()) / total


def as_share(score: float) -> float:
    """Return a score of 1 to 5 as a value from 0 to 1, as figures have it."""
    return (score - LOWEST) / (HIGHEST - LOWEST)


def relative_improvement(new: float, old: float) -> float:
    """Return by which share a mean score rose: 4.02 over 3.84 is a rise of .047."""
    return new / old - 1
