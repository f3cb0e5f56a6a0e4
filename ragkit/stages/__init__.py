"""Stages: one file per method. Importing this package registers them."""

from ragkit.stages.answer import AnswerRead
from ragkit.stages.certainty import AnswerCertainty
from ragkit.stages.closed_book import AnswerClosedBook
from ragkit.stages.context import ContextPack, ContextParents
from ragkit.stages.filter import FilterKnowledge
from ragkit.stages.recite import AnswerRecite
from ragkit.stages.rerank import RerankCrossEncoder
from ragkit.stages.retrieve import (
    RetrieveDense,
    RetrieveHybrid,
    RetrieveLearnedSparse,
    RetrieveMultiVector,
    RetrieveSparse,
)
from ragkit.stages.rewrite import RewritePlus

__all__ = [
    "AnswerCertainty",
    "AnswerClosedBook",
    "AnswerRead",
    "AnswerRecite",
    "ContextPack",
    "ContextParents",
    "FilterKnowledge",
    "RerankCrossEncoder",
    "RetrieveDense",
    "RetrieveHybrid",
    "RetrieveLearnedSparse",
    "RetrieveMultiVector",
    "RetrieveSparse",
    "RewritePlus",
]
