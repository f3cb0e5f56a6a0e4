"""Stages: one file per method. Importing this package registers them."""

from ragkit.stages.answer import AnswerRead
from ragkit.stages.closed_book import AnswerClosedBook
from ragkit.stages.context import ContextPack
from ragkit.stages.rerank import RerankCrossEncoder
from ragkit.stages.retrieve import RetrieveDense, RetrieveHybrid, RetrieveSparse

__all__ = [
    "AnswerClosedBook",
    "AnswerRead",
    "ContextPack",
    "RerankCrossEncoder",
    "RetrieveDense",
    "RetrieveHybrid",
    "RetrieveSparse",
]
