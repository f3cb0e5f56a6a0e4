"""Retrieval from the pipeline's index: one part of it, or several fused."""

import asyncio
import itertools
from abc import abstractmethod
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from ragkit.engine.calls import try_search
from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Documents
from ragkit.errors import InputError
from ragkit.index.base import HYBRID_DEPTH, Index
from ragkit.index.filters import Filter


class Retrieve(Stage):
    """What all retrieval stages share."""

    index: Index
    k: int = Field(10, ge=1, description="passages to return")
    where: Filter | None = Field(None, description="what the metadata of passages must be like")

    @model_validator(mode="after")
    def _parts_are_there(self) -> Self:
        try:
            self.index.check_parts(self.searched())
        except InputError as error:
            raise ValueError(str(error)) from None
        return self

    async def run(self, queries: tuple[str, ...], where: Any = None) -> Documents:
        """Search once per query; the rankings of several queries are fused by reciprocal rank.

        `vars.where`, if it is set, is a filter for this question, beside the stage's own.
        """
        own = None if where is None else Filter.parse(where, "vars.where")
        both = own if self.where is None else self.where & own
        affordable = list(itertools.takewhile(lambda _: try_search(), queries))
        rankings = await asyncio.gather(*(self.search(query, both) for query in affordable))
        return rankings[0] if len(rankings) == 1 else self.index.fuse(rankings, self.k)

    @abstractmethod
    def searched(self) -> tuple[str, ...]:
        """Return the names of the parts that are searched."""

    @abstractmethod
    async def search(self, query: str, where: Filter | None) -> Documents:
        """Return the ranking for one query."""


class _RetrievePart(Retrieve):
    part: ClassVar[str]

    def searched(self) -> tuple[str, ...]:
        return (self.part,)

    async def search(self, query: str, where: Filter | None) -> Documents:
        return await self.index.search(self.part, query, self.k, where)


@stage("retrieve.dense", writes="documents")
class RetrieveDense(_RetrievePart):
    """Find passages whose vectors are nearest to the query's."""

    part = "dense"


@stage("retrieve.sparse", writes="documents")
class RetrieveSparse(_RetrievePart):
    """Find passages that share the query's words (BM25).

    Source: Robertson and Zaragoza 2009, The Probabilistic Relevance Framework: BM25 and Beyond.
    """

    part = "sparse"


@stage("retrieve.learned_sparse", writes="documents")
class RetrieveLearnedSparse(_RetrievePart):
    """Find passages that share words with the query, which a model has weighted and added to.

    Source: Formal, Piwowarski and Clinchant 2021, SPLADE, arXiv 2107.05720.
    """

    part = "learned_sparse"


@stage("retrieve.multi_vector", writes="documents")
class RetrieveMultiVector(_RetrievePart):
    """Find passages by late interaction: every vector of the query with the one of the passage nearest to it.

    Source: Khattab and Zaharia 2020, ColBERT, arXiv 2004.12832.
    """

    part = "multi_vector"


@stage("retrieve.hybrid", writes="documents")
class RetrieveHybrid(Retrieve):
    """Fuse the rankings of several parts of the index, as its `fusion` says: by reciprocal rank, or by scores.

    Source: Cormack, Clarke and Büttcher 2009, Reciprocal Rank Fusion.
    """

    parts: tuple[str, ...] | None = Field(None, min_length=1, description="parts to search; all by default")
    depth: int = Field(HYBRID_DEPTH, ge=1, description="passages taken from each ranking before they are fused")

    def searched(self) -> tuple[str, ...]:
        return self.index.parts if self.parts is None else self.parts

    async def search(self, query: str, where: Filter | None) -> Documents:
        return await self.index.search_hybrid(query, self.k, self.depth, self.parts, where)
