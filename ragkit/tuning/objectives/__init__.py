"""Objectives that ragkit brings along; importing this package registers them."""

from ragkit.tuning.objectives.evidence import EvidenceObjective
from ragkit.tuning.objectives.sft import Sft

__all__ = ["EvidenceObjective", "Sft"]
