"""Vectors of queries, made elsewhere, as the embeddings that a vector store of langchain asks for."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from langchain_core.embeddings import Embeddings

from ragkit.errors import RagkitError


class QueryVectors(Embeddings):
    """Hands a store the vectors that ragkit's encoder has made through the call layer.

    Attributes:
        known: vectors by query, of the searches that are under way.
    """

    def __init__(self) -> None:
        self.known: dict[str, list[float]] = {}
        self._searches: Counter[str] = Counter()

    @contextmanager
    def lent(self, query: str, vector: list[float]) -> Iterator[None]:
        """Know the vector of a query for one search."""
        self.known[query] = vector
        self._searches[query] += 1
        try:
            yield
        finally:
            self._searches[query] -= 1
            if not self._searches[query]:
                del self.known[query], self._searches[query]

    def embed_query(self, text: str) -> list[float]:
        return self.known[text]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise RagkitError("this store is only searched: fill it with its own tools, using the same encoder")
