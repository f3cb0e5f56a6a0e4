"""An index as a langchain vector store."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from ragkit.errors import InputError
from ragkit.index.filters import Filter
from ragkit.index.local import LocalIndex


class IndexVectorStore(VectorStore):
    """A `LocalIndex` behind langchain's interface; works inside and outside a running event loop.

    Scores are those of the index: higher is better. Documents that are added are cut into passages as the index says,
    so what is found has ids of passages, and the id of its document in `metadata["document"]`; `delete` takes ids of
    documents. An index whose documents come from files is read-only.

    Args:
        index: the index.
        mode: `hybrid` or the name of a part.
    """

    def __init__(self, index: LocalIndex, mode: str = "hybrid") -> None:
        self.index, self.mode = index, mode
        self._one_at_a_time = threading.Lock()

    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, where: Filter | Mapping[str, Any] | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return the best k passages with their scores, of those that the filter (or its mapping) lets through."""
        if isinstance(where, Mapping):
            where = Filter.parse(where, "where")
        if kwargs:
            raise InputError(f"the index does not know {', '.join(sorted(kwargs))}; a filter is 'where'")
        found = await self.index.search_by(self.mode, query, k, where)
        return [(passage, passage.score or 0.0) for passage in found]

    def similarity_search_with_score(self, *args: Any, **kwargs: Any) -> list[tuple[Document, float]]:
        """Return the best passages with their scores; takes what the asynchronous method takes."""
        found: list[tuple[Document, float]] = self._wait(self.asimilarity_search_with_score(*args, **kwargs))
        return found

    async def asimilarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """Return the best k passages."""
        return [document for document, _ in await self.asimilarity_search_with_score(query, k, **kwargs)]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """Return the best k passages."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return passages by their ids; unknown ids are left out."""
        found = self.index.passages(ids)
        return [found[name] for name in ids if name in found]

    def max_marginal_relevance_search(self, *args: Any, **kwargs: Any) -> list[Document]:
        """Raise InputError: fused rankings have no vectors to compare."""
        raise InputError("the index has no search by maximal marginal relevance: use search_type='similarity'")

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        raise InputError(
            "the scores of the index are no relevance between 0 and 1: similarity_search_with_score gives them as "
            "they are"
        )

    def add_documents(self, documents: list[Document], **kwargs: Any) -> list[str]:
        """Add documents, each with an id, and return their ids.

        Raises:
            InputError: an id is missing or there already, or the documents of the index come from files.
        """
        if "ids" in kwargs:
            documents = [
                Document(id=name, page_content=document.page_content, metadata=document.metadata)
                for name, document in zip(kwargs.pop("ids"), documents, strict=True)
            ]
        if kwargs:
            raise InputError(f"the index does not know {', '.join(sorted(kwargs))}")
        self.index.add(documents)
        return [str(document.id) for document in documents]

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Delete documents by id.

        Raises:
            InputError: an id is not there, no id is given, or the documents of the index come from files.
        """
        if ids is None:
            raise InputError("name the documents to delete: an index is not emptied by a call without ids")
        self.index.delete(ids)
        return True

    @classmethod
    def from_texts(
        cls, texts: list[str], embedding: Embeddings, metadatas: list[dict[str, Any]] | None = None, **kwargs: Any
    ) -> Self:
        """Raise InputError: an index needs settings that langchain's signature has no place for."""
        raise InputError("make a ragkit.index.LocalIndex with a path, fill it with add(), and call as_vectorstore()")

    def _wait(self, search: Coroutine[Any, Any, Any]) -> Any:
        # The thread of its own is for callers that stand in a running event loop (a notebook); models are opened and
        # used by one at a time.
        with self._one_at_a_time, ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, search).result()
