"""Reward of a trained reward model."""

from pydantic import Field
from typing_extensions import override

from ragkit.engine.registry import rewards
from ragkit.models.base import RewardModel
from ragkit.models.rewards import Reward, Rollout


@rewards.register("learned")
class LearnedReward(Reward):
    """What a reward model of the pipeline thinks of the completion.

    Its grades have no scale of their own, only differences mean something; `scale` brings them to that of the rewards
    beside it. They were taught by preferences between real answers, so let the audit see what it makes of others.
    """

    model: RewardModel = Field(description="a reward model of the pipeline")
    scale: float = Field(1.0, gt=0, allow_inf_nan=False, description="a grade is divided by it")

    @override
    async def score(self, rollout: Rollout) -> float:
        return await self.model.grade(rollout.prompt, rollout.completion) / self.scale
