"""How documents are cut into passages: by tokens, by sentences, by layout or by page, and what they are read in."""

from ragkit.documents.chunking.cut import cut
from ragkit.documents.chunking.length import estimate_tokens
from ragkit.documents.chunking.settings import CHUNKER, Chunking, ParentSettings

__all__ = ["CHUNKER", "Chunking", "ParentSettings", "cut", "estimate_tokens"]
