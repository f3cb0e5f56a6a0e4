"""Rows that teach a reader on the noisy pages that it will really meet: the data builder `retrieval_aware`."""

from ragkit.tuning.builders.retrieval_aware.builder import RetrievalAwareBuilder

__all__ = ["RetrievalAwareBuilder"]
