"""An index as a langchain retriever."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import Field, PrivateAttr

from ragkit.index.local import LocalIndex


class IndexRetriever(BaseRetriever):
    """Retrieves passages of a `LocalIndex`; works inside and outside a running event loop."""

    index: LocalIndex
    mode: Literal["dense", "sparse", "hybrid"] = "hybrid"
    k: int = Field(5, ge=1)

    _one_at_a_time: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    async def _search(self, query: str) -> list[Document]:
        if self.mode == "dense":
            return list(await self.index.search_dense(query, self.k))
        if self.mode == "sparse":
            return list(await self.index.search_sparse(query, self.k))
        return list(await self.index.search_hybrid(query, self.k))

    def _get_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
        # langchain's batch() calls this from several threads; models are opened and used by one at a time.
        # The thread of its own is for callers that stand in a running event loop (a notebook).
        with self._one_at_a_time, ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, self._search(query)).result()

    async def _aget_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
        return await self._search(query)
