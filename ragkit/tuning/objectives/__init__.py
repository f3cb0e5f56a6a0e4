"""Objectives that ragkit brings along; importing this package registers them."""

from ragkit.tuning.objectives.bootstrap import Bootstrap
from ragkit.tuning.objectives.classifier import ClassifierObjective
from ragkit.tuning.objectives.evidence import EvidenceObjective
from ragkit.tuning.objectives.policy import Grpo, Rloo
from ragkit.tuning.objectives.preference import Dpo, Genarm
from ragkit.tuning.objectives.react_grpo import ReactGrpo
from ragkit.tuning.objectives.reranker import Reranker
from ragkit.tuning.objectives.retriever import Retriever
from ragkit.tuning.objectives.reward_model import RewardModelObjective
from ragkit.tuning.objectives.sft import Sft
from ragkit.tuning.objectives.vision import SftVision

__all__ = [
    "Bootstrap",
    "ClassifierObjective",
    "Dpo",
    "EvidenceObjective",
    "Genarm",
    "Grpo",
    "ReactGrpo",
    "Reranker",
    "Retriever",
    "RewardModelObjective",
    "Rloo",
    "Sft",
    "SftVision",
]
