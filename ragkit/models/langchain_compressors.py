"""Document compressors of langchain: rerankers, filters and extractors of any package."""

import json
import math
from typing import Any

from pydantic import Field

from ragkit.engine.calls import RemoteResource, Reply, Request
from ragkit.engine.registry import models
from ragkit.engine.state import Documents
from ragkit.errors import RagkitError
from ragkit.models.base import Compressor
from ragkit.models.langchain_classes import LangChainClient

# Some compressors make new documents that keep nothing but text and metadata.
_MARK = "ragkit_position"


@models.register("langchain-compressor")
class LangChainCompressor(LangChainClient, Compressor, RemoteResource):
    """Any document compressor of an installed langchain package; in Python, `LangChainCompressor.wrap(made, name)`."""

    score_field: str = Field("relevance_score", description="metadata in which the compressor leaves its scores")

    @classmethod
    def base(cls) -> type:
        from langchain_core.documents import BaseDocumentCompressor

        return BaseDocumentCompressor

    def fingerprint(self) -> str:
        return json.dumps({"provider": "langchain-compressor", **self.describe(), "field": self.score_field})

    async def compress(self, query: str, documents: Documents) -> Documents:
        rows = [{"text": d.page_content, "metadata": _plain(d.metadata)} for d in documents]
        kept = (await self.call("compress", {"query": query, "documents": rows})).value
        return tuple(
            documents[row["position"]].model_copy(update={"page_content": row["text"], "score": row["score"]})
            for row in kept
        )

    async def execute(self, request: Request) -> Reply:
        from langchain_core.documents import Document

        rows = request.args["documents"]
        given = [
            Document(page_content=row["text"], metadata={**row["metadata"], _MARK: position})
            for position, row in enumerate(rows)
        ]
        kept = await self.client().acompress_documents(given, request.args["query"])
        return Reply([self._row(document, len(rows), rank) for rank, document in enumerate(kept, start=1)])

    def _row(self, document: Any, count: int, rank: int) -> dict[str, Any]:
        position = document.metadata.get(_MARK)
        if not isinstance(position, int) or not 0 <= position < count:
            raise RagkitError(f"{self.class_} returned a document that does not keep the metadata of one it was given")
        score = document.metadata.get(self.score_field)
        known = isinstance(score, (int, float)) and math.isfinite(score)
        return {"position": position, "text": document.page_content, "score": float(score) if known else 1 / rank}


def _plain(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata as JSON values."""
    plain: dict[str, Any] = json.loads(json.dumps(metadata, default=str))
    return plain
