"""Rewards: how good a completion is. One file per family; `audit` tells whether one can be earned without answering."""

from ragkit.models.rewards import Reward, RewardFunction, Rollout
from ragkit.tuning.rewards import (
    answers,
    citation,
    compose,
    faults,
    format,  # noqa: A004 - named like a builtin
    grounding,
    learned,
    rarg,
    refuting,
    relevance,
)
from ragkit.tuning.rewards.audit import Audit, audit_rewards
from ragkit.tuning.rewards.reward import ReplyReward

__all__ = [
    "Audit",
    "ReplyReward",
    "Reward",
    "RewardFunction",
    "Rollout",
    "answers",
    "audit_rewards",
    "citation",
    "compose",
    "faults",
    "format",
    "grounding",
    "learned",
    "rarg",
    "refuting",
    "relevance",
]
