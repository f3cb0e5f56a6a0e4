"""Corpus to training data: questions about a corpus, answered with retrieval, measured, filtered."""

from ragkit.tuning.builders.corpus_qa.builder import CorpusQA, Made
from ragkit.tuning.builders.corpus_qa.pairs import Pair

__all__ = ["CorpusQA", "Made", "Pair"]
