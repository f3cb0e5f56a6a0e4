"""Data builders that ragkit brings along; importing this package registers them."""

from ragkit.tuning.builders.corpus_qa import CorpusQA
from ragkit.tuning.builders.r_tuning import RTuningBuilder
from ragkit.tuning.builders.reader import ReaderBuilder

__all__ = ["CorpusQA", "RTuningBuilder", "ReaderBuilder"]
