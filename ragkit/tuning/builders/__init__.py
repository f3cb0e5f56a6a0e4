"""Data builders that ragkit brings along; importing this package registers them."""

from ragkit.tuning.builders.corpus_qa import CorpusQA

__all__ = ["CorpusQA"]
