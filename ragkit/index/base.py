"""What retrieval stages can ask of an index."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from ragkit.engine.calls import Category, Resource
from ragkit.engine.state import Documents, Passage
from ragkit.errors import InputError
from ragkit.index.filters import Filter

HYBRID_DEPTH = 50
"""Passages taken from the ranking of each part before they are fused."""


class Index(Resource):
    """Finds passages for queries. Rankings are best first and never longer than `k`."""

    category: ClassVar[Category] = "index"

    @property
    @abstractmethod
    def parts(self) -> tuple[str, ...]:
        """The names of the parts that can be searched: `dense`, `sparse` ..."""

    @abstractmethod
    async def search(self, part: str, query: str, k: int, where: Filter | None = None) -> Documents:
        """Return the best k passages of one part, of those that the filter lets through.

        Raises:
            InputError: the index has no such part.
        """

    @abstractmethod
    async def search_hybrid(
        self,
        query: str,
        k: int,
        depth: int = HYBRID_DEPTH,
        parts: Sequence[str] | None = None,
        where: Filter | None = None,
    ) -> Documents:
        """Return the best k passages of the first `depth` (at least k) of the rankings of several parts.

        Args:
            query: the query.
            k: the longest ranking.
            depth: how much of each part's ranking is fused.
            parts: names of parts; None for all.
            where: what passages must be like.

        Raises:
            InputError: the index has no such part.
        """

    async def search_by(self, mode: str, query: str, k: int, where: Filter | None = None) -> Documents:
        """Return the best k passages of all parts fused (mode `hybrid`), or of the part that `mode` names."""
        if mode == "hybrid":
            return await self.search_hybrid(query, k, where=where)
        return await self.search(mode, query, k, where)

    @abstractmethod
    def fuse(self, rankings: Sequence[Documents], k: int) -> Documents:
        """Merge rankings into one."""

    def select(self, where: Filter, count: int) -> Documents:
        """Return the first passages that a filter lets through, in the order of the index, without any query.

        Raises:
            InputError: the index cannot list its passages.
        """
        raise InputError(f"an index of type {type(self).__name__} cannot list its passages")

    def parents(self, ids: Sequence[str]) -> dict[str, Passage]:
        """Return the larger passages that passages are read in, by id.

        Raises:
            InputError: the index keeps none.
        """
        raise InputError(f"an index of type {type(self).__name__} keeps no parents of passages")

    def check_parts(self, names: Sequence[str]) -> None:
        """See that parts are there.

        Raises:
            InputError: with the name of one that is not.
        """
        for name in names:
            if name not in self.parts:
                raise InputError(f"the index has no {name} part: add '{name}' to 'index' (it has {self._listed()})")

    def _listed(self) -> str:
        return ", ".join(self.parts) or "none"
