"""Documents from files: PDF, text, Markdown, HTML and JSONL, with pages and boxes, cut into passages."""

from ragkit.documents.chunking import Chunking, ParentSettings, cut
from ragkit.documents.document import (
    Block,
    Box,
    ChunkedDocument,
    IngestReport,
    Page,
    SourceDocument,
    SourceFile,
    Unreadable,
)
from ragkit.documents.loading import discover, read_file
from ragkit.documents.pdf import PdfSettings

__all__ = [
    "Block",
    "Box",
    "ChunkedDocument",
    "Chunking",
    "IngestReport",
    "Page",
    "ParentSettings",
    "PdfSettings",
    "SourceDocument",
    "SourceFile",
    "Unreadable",
    "cut",
    "discover",
    "read_file",
]
