"""Reward of citations that exist and support the answer."""

import re
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field
from typing_extensions import override

from ragkit.engine.registry import rewards
from ragkit.evaluation.metrics.answers import normalise
from ragkit.models.rewards import Rollout
from ragkit.tuning.rewards.reward import ReplyReward

_MARKER = re.compile(r"\[\s*\d+(?:\s*,\s*\d+)*\s*\]")


@rewards.register("citation")
class CitationReward(ReplyReward):
    """The share of the cited passages that hold the answer word for word, after normalisation.

    Where the rows say which passages are gold (column `supporting`: their numbers from 1), these support the answer,
    and no others. Citing nothing scores 0, and so does a marker with a number that no passage has. A reply with more
    than `at_most` citations counts the surplus as unsupported, so that citing everything does not pay.
    """

    columns: ClassVar[tuple[str, ...]] = ("passages",)

    at_most: int | None = Field(None, ge=1, description="citations that may be needed; more count as unsupported")

    @override
    async def judge(self, answer: str, cited: Sequence[int], rollout: Rollout) -> float:
        if not cited or _MARKER.search(answer):
            return 0.0
        support = supporting(answer, rollout)
        good = sum(number in support for number in cited)
        return min(good, self.at_most or good) / len(cited)


def supporting(answer: str, rollout: Rollout) -> set[int]:
    """Return the numbers of the passages that support an answer."""
    gold = rollout.columns.get("supporting")
    if gold is not None:
        return set(gold)
    wanted = normalise(answer)
    texts = enumerate(map(normalise, rollout.passages), start=1)
    return {number for number, text in texts if wanted and f" {wanted} " in f" {text} "}
