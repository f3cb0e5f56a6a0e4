"""Vectors of queries, made elsewhere, as the embeddings that a vector store of langchain asks for."""

from langchain_core.embeddings import Embeddings

from ragkit.errors import RagkitError


class QueryVectors(Embeddings):
    """Hands a store the vectors that ragkit's encoder has made through the call layer.

    Attributes:
        known: vectors by query.
    """

    def __init__(self) -> None:
        self.known: dict[str, list[float]] = {}

    def embed_query(self, text: str) -> list[float]:
        return self.known[text]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise RagkitError("this store is only searched: fill it with its own tools, using the same encoder")
