"""Retrieval from the pipeline's index: dense, sparse and hybrid."""

import asyncio
import itertools
from abc import abstractmethod

from pydantic import Field

from ragkit.engine.calls import try_search
from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Documents
from ragkit.index.base import HYBRID_DEPTH, Index


class _Retrieve(Stage):
    index: Index
    k: int = Field(10, ge=1, description="passages to return")

    async def run(self, queries: tuple[str, ...]) -> Documents:
        """Search once per query; the rankings of several queries are fused by reciprocal rank."""
        affordable = list(itertools.takewhile(lambda _: try_search(), queries))
        rankings = await asyncio.gather(*(self.search(query) for query in affordable))
        return rankings[0] if len(rankings) == 1 else self.index.fuse(rankings, self.k)

    @abstractmethod
    async def search(self, query: str) -> Documents:
        """Return the ranking for one query."""


@stage("retrieve.dense", writes="documents")
class RetrieveDense(_Retrieve):
    """Find passages whose vectors are nearest to the query's (cosine, FAISS)."""

    async def search(self, query: str) -> Documents:
        return await self.index.search_dense(query, self.k)


@stage("retrieve.sparse", writes="documents")
class RetrieveSparse(_Retrieve):
    """Find passages that share the query's words (BM25).

    Source: Robertson and Zaragoza 2009, The Probabilistic Relevance Framework: BM25 and Beyond.
    """

    async def search(self, query: str) -> Documents:
        return await self.index.search_sparse(query, self.k)


@stage("retrieve.hybrid", writes="documents")
class RetrieveHybrid(_Retrieve):
    """Fuse the dense and the sparse ranking by reciprocal rank.

    Source: Cormack, Clarke and Büttcher 2009, Reciprocal Rank Fusion.
    """

    depth: int = Field(HYBRID_DEPTH, ge=1, description="passages taken from each ranking before they are fused")

    async def search(self, query: str) -> Documents:
        return await self.index.search_hybrid(query, self.k, self.depth)
