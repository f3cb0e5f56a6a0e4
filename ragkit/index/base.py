"""What retrieval stages can ask of an index."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from ragkit.engine.calls import Category, Resource
from ragkit.engine.state import Documents

HYBRID_DEPTH = 50
"""Passages taken from the dense and from the sparse ranking before they are fused."""


class Index(Resource):
    """Finds passages for queries. Rankings are best first and never longer than `k`."""

    category: ClassVar[Category] = "index"

    @abstractmethod
    async def search_dense(self, query: str, k: int) -> Documents:
        """Return the passages nearest to the query's vector.

        Raises:
            InputError: the index has no vectors.
        """

    @abstractmethod
    async def search_sparse(self, query: str, k: int) -> Documents:
        """Return the passages that score highest by their words.

        Raises:
            InputError: the index has no postings.
        """

    @abstractmethod
    async def search_hybrid(self, query: str, k: int, depth: int = HYBRID_DEPTH) -> Documents:
        """Return the best k passages of the first `depth` (at least k) of the dense and the sparse ranking.

        Raises:
            InputError: the index has no vectors or no postings.
        """

    @abstractmethod
    def fuse(self, rankings: Sequence[Documents], k: int) -> Documents:
        """Merge rankings into one."""
