"""Stages: one file per method. Importing this package registers them."""

from ragkit.stages.answer import AnswerRead
from ragkit.stages.certainty import AnswerCertainty
from ragkit.stages.closed_book import AnswerClosedBook
from ragkit.stages.context import ContextPack, ContextParents
from ragkit.stages.memory import MemoryRecall, MemoryStore, MemoryTrigger
from ragkit.stages.rerank import RerankCrossEncoder
from ragkit.stages.retrieve import (
    RetrieveDense,
    RetrieveHybrid,
    RetrieveLearnedSparse,
    RetrieveMultiVector,
    RetrieveSparse,
)

__all__ = [
    "AnswerCertainty",
    "AnswerClosedBook",
    "AnswerRead",
    "ContextPack",
    "ContextParents",
    "MemoryRecall",
    "MemoryStore",
    "MemoryTrigger",
    "RerankCrossEncoder",
    "RetrieveDense",
    "RetrieveHybrid",
    "RetrieveLearnedSparse",
    "RetrieveMultiVector",
    "RetrieveSparse",
]
