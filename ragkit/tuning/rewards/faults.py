"""Faults of cited responses, from 0 to 1: what a composed reward subtracts as penalties.

Source: the kinds of fault are those that Yue et al. 2024 (RARG), arXiv 2403.14952, and its neighbours meet; the
measures and their weights are ragkit's (docs/rarg.md).
"""

import math
from typing import ClassVar

from pydantic import Field
from typing_extensions import override

from ragkit.engine.registry import rewards
from ragkit.models.rewards import Reward, Rollout
from ragkit.stages.refuting.response import copied_share, invalid_numbers, plain, read_response, words
from ragkit.tuning.rewards.relevance import distinct_trigrams


@rewards.register("copied_evidence")
class CopiedEvidence(Reward):
    """The share of the 4-grams of the completion that stand in a passage word for word, beyond a share that is free."""

    columns: ClassVar[tuple[str, ...]] = ("passages",)

    weight: float = Field(0.2, allow_inf_nan=False, description="what it costs")
    free: float = Field(0.5, ge=0, lt=1, description="the share that costs nothing")

    @override
    async def score(self, rollout: Rollout) -> float:
        return max(0.0, copied_share(plain(read_response(rollout.completion)), rollout.passages) - self.free)


@rewards.register("repetition")
class Repetition(Reward):
    """The share of the completion's trigrams that are repetitions of earlier ones."""

    weight: float = Field(0.2, allow_inf_nan=False, description="what it costs")

    @override
    async def score(self, rollout: Rollout) -> float:
        return 1.0 - distinct_trigrams(plain(read_response(rollout.completion)))


@rewards.register("off_length")
class OffLength(Reward):
    """1 for a completion of too few or too many words, without its citation markers.

    With `soft` it rises gradually at both ends, as `1 - (sigmoid((n - least) / soft) - sigmoid((n - most) / soft))`.

    Source: the soft form is the bounded range of arXiv 2509.01058, there of a readability grade.
    """

    weight: float = Field(0.5, allow_inf_nan=False, description="what it costs")
    least: int = Field(20, ge=0, description="words that are enough")
    most: int = Field(120, ge=1, description="words that are not too many")
    soft: float = Field(0.0, ge=0, allow_inf_nan=False, description="words over which it rises; 0: at once")

    @override
    async def score(self, rollout: Rollout) -> float:
        number = len(words(plain(read_response(rollout.completion))))
        if not self.soft:
            return float(not self.least <= number <= self.most)
        inside = _sigmoid((number - self.least) / self.soft) - _sigmoid((number - self.most) / self.soft)
        return min(1.0, max(0.0, 1.0 - inside))


@rewards.register("invalid_citation")
class InvalidCitation(Reward):
    """1 for a completion that cites a number that no passage has."""

    columns: ClassVar[tuple[str, ...]] = ("passages",)

    weight: float = Field(1.0, allow_inf_nan=False, description="what it costs")

    @override
    async def score(self, rollout: Rollout) -> float:
        return float(bool(invalid_numbers(read_response(rollout.completion), len(rollout.passages))))


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value > -700 else 0.0
