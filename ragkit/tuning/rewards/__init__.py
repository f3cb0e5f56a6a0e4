"""Rewards: how good a completion is. One file per family; `audit` tells whether one can be earned without answering."""

from ragkit.tuning.rewards import answers, citation, compose, format, learned, relevance  # noqa: A004 - named like a builtin
from ragkit.tuning.rewards.audit import Audit, audit_rewards
from ragkit.tuning.rewards.reward import ReplyReward, Reward, RewardFunction, Rollout

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
    "format",
    "learned",
    "relevance",
]
