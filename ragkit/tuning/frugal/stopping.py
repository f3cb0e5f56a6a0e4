"""The reward of stopping in time, as FrugalRAG computes it.

Source: Java et al. 2025, arXiv 2507.07634, Eq. 1, with the constants of its code.
"""

import math
from collections.abc import Sequence

from pydantic import Field

from ragkit.engine.component import Component

_EDGE = 1e-6


class StopReward(Component):
    """What a way through the loop earns.

    With n searches, h* the one after which the recall last rose, B the budget and c the recall at the end:
      - c >= tau and n > h*: the log-odds of stopping, `ln((1 - d) / d)` with `d = (n - h*) / B`;
      - c >= tau and n = h*: `highest + alpha * h* / B`;
      - c < tau: the log-odds with `d = |n - B| / B`, at most 0: such a question should be searched to the end.

    The format term is the mean over all steps but `finish`: `phi` for a reply that could be read, `-phi` for another.
    The first search is a step that is always well formed.
    """

    highest: float = Field(2.0, gt=0, description="the largest log-odds that count (R_max)")
    late_margin: float = Field(0.1, ge=0, description="how far below `highest` a late stop stays")
    alpha: float = Field(2.0, ge=0, description="what deep evidence adds to stopping exactly after it")
    phi: float = Field(0.5, ge=0, description="weight of well-formed replies")
    tau: float = Field(0.6, ge=0, le=1, description="recall that counts as found, where a question has none of its own")

    def stop(self, searches: int, best: int | None, recall: float, budget: int, tau: float | None = None) -> float:
        """Return the reward of stopping.

        Args:
            searches: that brought at least one passage, the first one included.
            best: h*; None if nothing was ever found, which counts as not found.
            recall: at the end.
            budget: the most searches.
            tau: the question's own threshold.
        """
        found = best is not None and recall >= (self.tau if tau is None else tau)
        if found and best is not None:
            if searches <= best:
                return self.highest + self.alpha * best / budget
            late = _log_odds((searches - best) / budget)
            return max(-self.highest, min(late, self.highest - self.late_margin))
        return max(-self.highest, min(_log_odds(abs(searches - budget) / budget), 0.0))

    def format(self, readable: Sequence[bool]) -> float:
        """Return the format term of the steps but `finish`; 0 without any."""
        return sum(self.phi if good else -self.phi for good in readable) / len(readable) if readable else 0.0


def _log_odds(share: float) -> float:
    share = min(max(share, _EDGE), 1 - _EDGE)
    return math.log((1 - share) / share)


def best_search(recalls: Sequence[float]) -> int | None:
    """Return h*: the number, from 1, of the search after which the recall last rose; None if it never did."""
    best, highest = None, 0.0
    for number, value in enumerate(recalls, 1):
        if value > highest:
            best, highest = number, value
    return best


def advantages(rewards: Sequence[float]) -> list[float]:
    """Return what each way earned above its group's mean, in standard deviations; all 0 where all earned the same."""
    mean = sum(rewards) / len(rewards)
    variance = sum((reward - mean) ** 2 for reward in rewards) / max(1, len(rewards) - 1)
    if variance < _EDGE**2:
        return [0.0] * len(rewards)
    return [(reward - mean) / (math.sqrt(variance) + 1e-4) for reward in rewards]
