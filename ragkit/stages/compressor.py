"""Rerank by any document compressor of langchain."""

from pydantic import Field

from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Documents
from ragkit.models.base import Compressor


@stage("rerank.langchain", writes="documents")
class RerankLangChain(Stage):
    """Order, drop or shorten passages as a document compressor of langchain does (rerankers, filters, extractors)."""

    compressor: Compressor
    k: int | None = Field(None, ge=1, description="passages to keep; all by default")

    async def run(self, question: str, documents: Documents) -> Documents:
        """Return what the compressor keeps, in its order."""
        return (await self.compressor.compress(question, documents))[: self.k] if documents else ()
