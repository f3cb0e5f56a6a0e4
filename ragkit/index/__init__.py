"""Indexes: parts that find passages (vectors, words), their fusion, filters, and the passages themselves."""

from ragkit.index.build_report import BuildReport
from ragkit.index.dense import DenseSettings
from ragkit.index.filters import Filter
from ragkit.index.fusion import choose_weights, reciprocal_rank_fusion
from ragkit.index.langchain_index import LangChainRetriever, LangChainStore
from ragkit.index.learned_sparse import LearnedSparseSettings
from ragkit.index.local import LocalIndex
from ragkit.index.manifest import Manifest
from ragkit.index.multi_vector import MultiVectorSettings
from ragkit.index.settings import FusionSettings
from ragkit.index.sparse import SparseSettings

__all__ = [
    "BuildReport",
    "DenseSettings",
    "Filter",
    "FusionSettings",
    "LangChainRetriever",
    "LangChainStore",
    "LearnedSparseSettings",
    "LocalIndex",
    "Manifest",
    "MultiVectorSettings",
    "SparseSettings",
    "choose_weights",
    "reciprocal_rank_fusion",
]
