"""Models of all kinds. Importing this registers the providers and loads no model library."""

from ragkit.models.classifier import ClassifierModel
from ragkit.models.evidence import EvidenceModel
from ragkit.models.langchain_compressors import LangChainCompressor
from ragkit.models.langchain_embeddings import LangChainEncoder
from ragkit.models.langchain_models import LangChainModel, OpenAIModel
from ragkit.models.langchain_tools import LangChainTool
from ragkit.models.reward_model import TransformersRewardModel
from ragkit.models.scripted import HashEncoder, OverlapReranker, ScriptedModel
from ragkit.models.sentence_transformers_images import SentenceTransformerImageEncoder
from ragkit.models.sentence_transformers_models import (
    CrossEncoderEntailment,
    CrossEncoderReranker,
    SentenceTransformerEncoder,
)
from ragkit.models.sparse_and_multi_vector import (
    SentenceTransformerMultiVectorEncoder,
    SentenceTransformerSparseEncoder,
)
from ragkit.models.transformers_lm import TransformersModel
from ragkit.models.transformers_vision import TransformersVisionModel
from ragkit.models.vision import TransformersImageEncoder, TransformersPageEncoder
from ragkit.models.word_images import WordImageEncoder

__all__ = [
    "ClassifierModel",
    "CrossEncoderEntailment",
    "CrossEncoderReranker",
    "EvidenceModel",
    "HashEncoder",
    "LangChainCompressor",
    "LangChainEncoder",
    "LangChainModel",
    "LangChainTool",
    "OpenAIModel",
    "OverlapReranker",
    "ScriptedModel",
    "SentenceTransformerEncoder",
    "SentenceTransformerImageEncoder",
    "SentenceTransformerMultiVectorEncoder",
    "SentenceTransformerSparseEncoder",
    "TransformersImageEncoder",
    "TransformersModel",
    "TransformersPageEncoder",
    "TransformersRewardModel",
    "TransformersVisionModel",
    "WordImageEncoder",
]
