"""Data builders that ragkit brings along; importing this package registers them."""

from ragkit.tuning.builders.pa_rag import PaRagAnswers, PaRagPreferences
from ragkit.tuning.builders.r_tuning import RTuningBuilder
from ragkit.tuning.builders.reader import ReaderBuilder

__all__ = ["PaRagAnswers", "PaRagPreferences", "RTuningBuilder", "ReaderBuilder"]
