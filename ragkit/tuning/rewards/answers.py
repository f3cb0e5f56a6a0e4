"""Rewards of right answers, as ragkit's own metrics measure them."""

from collections.abc import Sequence
from typing import ClassVar

from typing_extensions import override

from ragkit.engine.registry import rewards
from ragkit.errors import InputError
from ragkit.evaluation.metrics.answers import ExactMatch, NormalisedMetric, TokenF1
from ragkit.models.rewards import Rollout
from ragkit.tuning.rewards.reward import ReplyReward


class AnswerReward(ReplyReward):
    """The best agreement of the answer with any of the gold answers.

    Attributes:
        metric: what agreement is.
    """

    columns: ClassVar[tuple[str, ...]] = ("answers",)
    metric: ClassVar[NormalisedMetric]

    @override
    async def judge(self, answer: str, cited: Sequence[int], rollout: Rollout) -> float:
        if not rollout.answers:
            raise InputError("a row has no gold answers (column 'answers')")
        return self.metric.best(answer, rollout.answers) or 0.0


@rewards.register("em")
class ExactMatchReward(AnswerReward):
    """1 if the answer equals a gold answer after normalisation, as in the metric `em`."""

    metric: ClassVar[NormalisedMetric] = ExactMatch()


@rewards.register("f1")
class F1Reward(AnswerReward):
    """Harmonic mean of the precision and recall of the answer's words, as in the metric `f1`."""

    metric: ClassVar[NormalisedMetric] = TokenF1()
