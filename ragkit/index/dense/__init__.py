"""The dense part of an index: passages and queries as vectors, searched by FAISS or torch."""

from ragkit.index.dense.building import build_dense
from ragkit.index.dense.index import DenseIndex
from ragkit.index.dense.settings import DenseSettings, Metric

__all__ = ["DenseIndex", "DenseSettings", "Metric", "build_dense"]
