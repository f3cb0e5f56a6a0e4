"""Documents from files: PDF, text, Markdown, HTML and JSONL, with pages and boxes, cut into passages."""

from ragkit.documents.chunking import Chunking, chunk
from ragkit.documents.document import Block, Box, IngestReport, Page, SourceDocument, SourceFile, Unreadable
from ragkit.documents.loading import discover, load_documents

__all__ = [
    "Block",
    "Box",
    "Chunking",
    "IngestReport",
    "Page",
    "SourceDocument",
    "SourceFile",
    "Unreadable",
    "chunk",
    "discover",
    "load_documents",
]
