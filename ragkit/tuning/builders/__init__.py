"""Data builders that ragkit brings along; importing this package registers them."""

from ragkit.tuning.builders.corpus_qa import CorpusQA
from ragkit.tuning.builders.knowledge_filter import EvidenceRows, KnowledgeFilterRows
from ragkit.tuning.builders.labelled import LabelledTexts
from ragkit.tuning.builders.pa_rag import PaRagAnswers, PaRagPreferences
from ragkit.tuning.builders.r_tuning import RTuningBuilder
from ragkit.tuning.builders.ranking import RankingBuilder
from ragkit.tuning.builders.rarg import RargPreferences, RargPrompts, RargResponses
from ragkit.tuning.builders.react import ReactDemos, ReactRollouts, ReactRows
from ragkit.tuning.builders.reader import ReaderBuilder
from ragkit.tuning.builders.reader_prompts import ReaderPromptsBuilder
from ragkit.tuning.builders.rebel import RebelRows
from ragkit.tuning.builders.retrieval_aware import RetrievalAwareBuilder
from ragkit.tuning.builders.rewriter import RewriterRows
from ragkit.tuning.builders.stance import StanceRows
from ragkit.tuning.builders.steering import SteerAlignedRows, SteerAwareRows, SteeredRows

__all__ = [
    "CorpusQA",
    "EvidenceRows",
    "KnowledgeFilterRows",
    "LabelledTexts",
    "PaRagAnswers",
    "PaRagPreferences",
    "RTuningBuilder",
    "RankingBuilder",
    "RargPreferences",
    "RargPrompts",
    "RargResponses",
    "ReactDemos",
    "ReactRollouts",
    "ReactRows",
    "ReaderBuilder",
    "ReaderPromptsBuilder",
    "RebelRows",
    "RetrievalAwareBuilder",
    "RewriterRows",
    "StanceRows",
    "SteerAlignedRows",
    "SteerAwareRows",
    "SteeredRows",
]
