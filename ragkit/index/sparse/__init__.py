"""BM25: analysis, counting, scoring and search, with the files of bm25s."""

from ragkit.index.sparse.analyser import Analyser
from ragkit.index.sparse.build import build_sparse
from ragkit.index.sparse.search import SparseIndex
from ragkit.index.sparse.settings import ANALYSIS, SparseSettings

__all__ = ["ANALYSIS", "Analyser", "SparseIndex", "SparseSettings", "build_sparse"]
