"""Vector stores and retrievers of langchain as the index of a pipeline, so that a server-side store can stand in."""

import hashlib
import json
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr

from ragkit.engine.calls import RemoteResource, Reply, Request
from ragkit.engine.registry import indexes, models
from ragkit.engine.state import Documents, Hit, Passage
from ragkit.errors import InputError, RagkitError
from ragkit.index.base import HYBRID_DEPTH, Index
from ragkit.index.filters import Filter
from ragkit.index.fusion import reciprocal_rank_fusion
from ragkit.models.base import Encoder
from ragkit.models.langchain_classes import LangChainClient, without_secrets

if TYPE_CHECKING:
    from langchain_core.documents import Document

_FUSION = 60

Scores = Literal["relevance", "similarity", "distance"]


class _LangChainIndex(LangChainClient, Index, RemoteResource):
    """What stores and retrievers share.

    Every answer is a call with the deadlines and retries of a remote resource, and is cached: `state` has to change
    with the content of the store.
    """

    id_field: str | None = Field(None, description="The metadata field with a passage's id, for stores without ids.")
    state: str = Field("", description="Names the content; another name makes cached answers stale.")

    part: ClassVar[str]

    @property
    def parts(self) -> tuple[str, ...]:
        return (self.part,)

    def fingerprint(self) -> str:
        settings = self.model_dump(mode="json", include={"class_", "id_field", "state"})
        return json.dumps(settings | {"kwargs": without_secrets(self.kwargs)}, sort_keys=True)

    async def search(self, part: str, query: str, k: int, where: Filter | None = None) -> Documents:
        self.check_parts([part])
        if where is not None:
            raise InputError(
                f"an index of type {type(self).__name__} cannot be filtered by 'where', because every store has "
                "filters of its own; a fixed one goes into 'options'"
            )
        found = (await self.call(part, {"query": query, "k": k}, payload=await self._payload(query))).value
        return tuple(
            Passage(
                id=row["id"], page_content=row["text"], metadata=row["metadata"], score=row["score"],
                hits=(Hit(part, query, rank, row["score"]),),
            )
            for rank, row in enumerate(found, start=1)
        )  # fmt: skip

    async def search_hybrid(
        self,
        query: str,
        k: int,
        depth: int = HYBRID_DEPTH,
        parts: Sequence[str] | None = None,
        where: Filter | None = None,
    ) -> Documents:
        """Return the ranking of the only part; a store that mixes dense and sparse search does so by itself."""
        self.check_parts(self.parts if parts is None else parts)
        return await self.search(self.part, query, k, where)

    def fuse(self, rankings: Sequence[Documents], k: int) -> Documents:
        return reciprocal_rank_fusion(rankings, _FUSION, k)

    async def execute(self, request: Request) -> Reply:
        query, k = request.args["query"], request.args["k"]
        found = await self._find(query, k, request.payload)
        return Reply([self._row(document, score) for document, score in found[:k]])

    async def _payload(self, query: str) -> Any:
        """Return what `_find` needs beside the query, made by calls of other resources."""
        return None

    @abstractmethod
    async def _find(self, query: str, k: int, payload: Any) -> "Sequence[tuple[Document, float]]":
        """Return documents with their scores, best first and higher is better."""

    def _row(self, document: "Document", score: float) -> Mapping[str, Any]:
        identifier = document.id if self.id_field is None else document.metadata.get(self.id_field)
        if identifier is None:
            place = "the id" if self.id_field is None else f"the metadata field '{self.id_field}' with the id"
            raise InputError(f"{self.class_} returned a document without {place}: name the field in 'id_field'")
        if not math.isfinite(score):
            raise RagkitError(f"{self.class_} gave the document '{identifier}' a score that is no number: {score}")
        metadata = json.loads(json.dumps(document.metadata, default=str))
        return {"id": str(identifier), "text": document.page_content, "metadata": metadata, "score": float(score)}


@models.register("langchain-store")
@indexes.register("langchain")
class LangChainStore(_LangChainIndex):
    """A vector store of langchain, filled already, as the `dense` part of an index.

    What a store's scores mean differs from store to store, so it has to be said: `relevance` asks the store to bring
    them to 0 ... 1, `similarity` takes them as they are (higher is better), and `distance` (lower is better) puts a
    minus before them.
    """

    scores: Scores = Field("relevance", description="What the store's scores are.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="Further arguments of every search, such as filter, as the store takes them."
    )
    encoder: Encoder | None = Field(None, description="Makes the query's vector; without it the store's own does.")
    encoder_argument: str = Field("embedding", description="The constructor's argument that takes the encoder.")

    part = "dense"

    _vectors: Any = PrivateAttr(default=None)

    @classmethod
    def wrap(cls, made: Any, name: str, **settings: Any) -> Self:
        if settings.get("encoder") is not None:
            raise InputError("a store that is made already has its own embeddings: leave 'encoder' out")
        return super().wrap(made, name, **settings)

    @classmethod
    def base(cls) -> type:
        from langchain_core.vectorstores import VectorStore

        return VectorStore

    def fingerprint(self) -> str:
        encoder = self.encoder and self.encoder.fingerprint()
        # A hash, because a filter may be on a field that is called as secrets are.
        options = hashlib.sha256(json.dumps(self.options, sort_keys=True, default=repr).encode()).hexdigest()
        return json.dumps([super().fingerprint(), self.scores, options, encoder])

    async def _payload(self, query: str) -> Any:
        return None if self.encoder is None else (await self.encoder.embed(query)).tolist()

    async def _find(self, query: str, k: int, payload: Any) -> "Sequence[tuple[Document, float]]":
        store = self.client()
        with self._vectors.lent(query, payload) if self._vectors is not None else nullcontext():
            if self.scores == "relevance":
                try:
                    found = await store.asimilarity_search_with_relevance_scores(query, k=k, **self.options)
                except NotImplementedError:
                    raise InputError(
                        f"{self.class_} has no relevance scores: set 'scores' to similarity (higher is better) or "
                        "distance (lower is better), whichever it gives"
                    ) from None
            else:
                found = await store.asimilarity_search_with_score(query, k=k, **self.options)
        sign = -1 if self.scores == "distance" else 1
        return [(document, sign * score) for document, score in found]

    def arguments(self) -> dict[str, Any]:
        if self.encoder is None:
            return self.kwargs
        from ragkit.index.query_vectors import QueryVectors

        self._vectors = QueryVectors()
        return {**self.kwargs, self.encoder_argument: self._vectors}


@models.register("langchain-retriever")
@indexes.register("langchain-retriever")
class LangChainRetriever(_LangChainIndex):
    """Any retriever of langchain as the only part of an index, `retriever`; it is searched by `retrieve.hybrid`.

    Retrievers give no scores: a passage's is 1 / its rank. How many passages they find is a setting of their own.
    """

    part = "retriever"

    @classmethod
    def base(cls) -> type:
        from langchain_core.retrievers import BaseRetriever

        return BaseRetriever

    async def _find(self, query: str, k: int, payload: Any) -> "Sequence[tuple[Document, float]]":
        found = await self.client().ainvoke(query)
        return [(document, 1 / rank) for rank, document in enumerate(found, start=1)]
