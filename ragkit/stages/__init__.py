"""Stages: one file per method. Importing this package registers them."""

from ragkit.stages.answer import AnswerRead
from ragkit.stages.answer_multimodal import AnswerMultimodal
from ragkit.stages.certainty import AnswerCertainty
from ragkit.stages.claim import RewriteClaim
from ragkit.stages.closed_book import AnswerClosedBook
from ragkit.stages.colbert import RerankColbert
from ragkit.stages.compressor import RerankLangChain
from ragkit.stages.context import ContextPack, ContextParents
from ragkit.stages.context_pages import ContextPages
from ragkit.stages.evidence_select import EvidenceSelect
from ragkit.stages.extract import AnswerTrajectory
from ragkit.stages.filter import FilterKnowledge
from ragkit.stages.hyde import RewriteHyde
from ragkit.stages.interleaved import ContextCollect, ReasonSentence, RewriteWithAnswer
from ragkit.stages.listwise import RerankListwise
from ragkit.stages.memory import MemoryRecall, MemoryStore, MemoryTrigger
from ragkit.stages.mmr import RerankMMR
from ragkit.stages.pages import RetrievePages
from ragkit.stages.react import AgentReact
from ragkit.stages.rebel import RerankRebel
from ragkit.stages.reciprocal_fusion import RerankReciprocalFusion
from ragkit.stages.recite import AnswerRecite
from ragkit.stages.refute import AnswerRefute
from ragkit.stages.rerank import RerankCrossEncoder
from ragkit.stages.retrieve import (
    RetrieveDense,
    RetrieveHybrid,
    RetrieveLearnedSparse,
    RetrieveMultiVector,
    RetrieveSparse,
)
from ragkit.stages.rewrite import RewritePlus
from ragkit.stages.steer_filter import SteerFilter
from ragkit.stages.steer_prune import SteerPrune
from ragkit.stages.steer_rw import SteerRW
from ragkit.stages.two_stage import RetrieveTwoStage

__all__ = [
    "AgentReact",
    "AnswerCertainty",
    "AnswerClosedBook",
    "AnswerMultimodal",
    "AnswerRead",
    "AnswerRecite",
    "AnswerRefute",
    "AnswerTrajectory",
    "ContextCollect",
    "ContextPack",
    "ContextPages",
    "ContextParents",
    "EvidenceSelect",
    "FilterKnowledge",
    "MemoryRecall",
    "MemoryStore",
    "MemoryTrigger",
    "ReasonSentence",
    "RerankColbert",
    "RerankCrossEncoder",
    "RerankLangChain",
    "RerankListwise",
    "RerankMMR",
    "RerankRebel",
    "RerankReciprocalFusion",
    "RetrieveDense",
    "RetrieveHybrid",
    "RetrieveLearnedSparse",
    "RetrieveMultiVector",
    "RetrievePages",
    "RetrieveSparse",
    "RetrieveTwoStage",
    "RewriteClaim",
    "RewriteHyde",
    "RewritePlus",
    "RewriteWithAnswer",
    "SteerFilter",
    "SteerPrune",
    "SteerRW",
]
