"""Indexes: parts that find passages (vectors, words), their fusion, filters, and the passages themselves."""

from ragkit.index.build import BuildReport
from ragkit.index.dense import DenseSettings
from ragkit.index.filters import Filter
from ragkit.index.fusion import choose_weights, reciprocal_rank_fusion
from ragkit.index.local import LocalIndex
from ragkit.index.manifest import Manifest
from ragkit.index.settings import FusionSettings
from ragkit.index.sparse import SparseSettings

__all__ = [
    "BuildReport",
    "DenseSettings",
    "Filter",
    "FusionSettings",
    "LocalIndex",
    "Manifest",
    "SparseSettings",
    "choose_weights",
    "reciprocal_rank_fusion",
]
