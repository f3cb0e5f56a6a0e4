"""Indexes: dense (FAISS), sparse (BM25), their fusion, and the passages themselves."""

from ragkit.index.build import BuildReport
from ragkit.index.dense import DenseSettings
from ragkit.index.fusion import reciprocal_rank_fusion
from ragkit.index.langchain_index import LangChainRetriever, LangChainStore
from ragkit.index.local import LocalIndex
from ragkit.index.manifest import Manifest
from ragkit.index.settings import FusionSettings
from ragkit.index.sparse import SparseSettings

__all__ = [
    "BuildReport",
    "DenseSettings",
    "FusionSettings",
    "LangChainRetriever",
    "LangChainStore",
    "LocalIndex",
    "Manifest",
    "SparseSettings",
    "reciprocal_rank_fusion",
]
