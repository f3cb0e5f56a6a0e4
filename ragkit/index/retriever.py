"""An index as a langchain retriever."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import Field, PrivateAttr

from ragkit.index.base import Index
from ragkit.index.filters import Filter


class IndexRetriever(BaseRetriever):
    """Retrieves passages of an index; works inside and outside a running event loop.

    `mode` is `hybrid` or the name of a part, `where` what passages must be like.
    """

    index: Index
    mode: str = "hybrid"
    k: int = Field(5, ge=1)
    where: Filter | None = None

    _one_at_a_time: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    async def _search(self, query: str) -> list[Document]:
        return list(await self.index.search_by(self.mode, query, self.k, self.where))

    def _get_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
        # langchain's batch() calls this from several threads; models are opened and used by one at a time.
        # The thread of its own is for callers that stand in a running event loop (a notebook).
        with self._one_at_a_time, ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, self._search(query)).result()

    async def _aget_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
        return await self._search(query)
