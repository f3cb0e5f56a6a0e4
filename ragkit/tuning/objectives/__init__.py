"""Objectives that ragkit brings along; importing this package registers them."""

from ragkit.tuning.objectives.evidence import EvidenceObjective

__all__ = ["EvidenceObjective"]
