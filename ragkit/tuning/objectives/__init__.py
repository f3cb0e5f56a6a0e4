"""Objectives that ragkit brings along; importing this package registers them."""

from ragkit.tuning.objectives.reranker import Reranker
from ragkit.tuning.objectives.retriever import Retriever
from ragkit.tuning.objectives.sft import Sft

__all__ = ["Reranker", "Retriever", "Sft"]
