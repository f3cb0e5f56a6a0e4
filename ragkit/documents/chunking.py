"""Cut documents into passages with ids that stay the same from run to run."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Self

from pydantic import Field, model_validator

from ragkit.documents.document import Box, Page, SourceDocument
from ragkit.engine.component import Component
from ragkit.engine.state import Passage

_TOKEN = re.compile(r"[^\W\d_]{1,8}|\d{1,3}|[^\w\s]|_")
_WIDE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_BLOCK_END = "\n\n"
_SEPARATORS = [_BLOCK_END, "\n", r"(?<=[.!?;])\s+", r"\s+", ""]


class Chunking(Component):
    """How long passages are and how far they overlap, in estimated tokens (see `estimate_tokens`)."""

    size: int = Field(200, ge=16, le=100_000, description="The most tokens in a passage (estimated).")
    overlap: int = Field(0, ge=0, description="Tokens that a passage repeats from the one before it.")

    @model_validator(mode="after")
    def _overlap_is_smaller(self) -> Self:
        if self.overlap > self.size // 2:
            raise ValueError(f"overlap ({self.overlap}) is more than half of size ({self.size})")
        return self


def estimate_tokens(text: str) -> int:
    """Estimate the number of tokens of a text without a tokenizer.

    The rule: a token is a run of up to eight letters or three digits, a single other mark, or a single Chinese,
    Japanese or Korean character. On English prose this is within about a tenth of what WordPiece and BPE count.
    """
    return len(_TOKEN.findall(text if text.isascii() else _WIDE.sub(" . ", text)))


def chunk(
    document: SourceDocument, settings: Chunking, length: Callable[[str], int] = estimate_tokens
) -> Iterator[Passage]:
    """Cut a document into passages, never across pages, at the ends of blocks where the size allows it.

    The text stays as it is. Ids are `<document>#p<page>.c<n>` for paged documents, `<document>.c<n>` for others, and
    the document's id where an unpaged document is one passage.

    Args:
        document: what a loader returned.
        settings: size and overlap.
        length: counts the tokens of a text.
    """
    for page in document.pages:
        text = _BLOCK_END.join(block.text for block in page.blocks)
        pieces = _split(text, settings, length)
        for number, (start, piece) in enumerate(pieces):
            if page.number is not None:
                name = f"{document.id}#p{page.number}.c{number}"
            else:
                name = document.id if len(pieces) == 1 else f"{document.id}.c{number}"
            metadata = document.metadata | _place(page, start, start + len(piece))
            yield Passage(id=name, page_content=piece, metadata=metadata)


def _split(text: str, settings: Chunking, length: Callable[[str], int]) -> list[tuple[int, str]]:
    """Return (start, text) of the pieces."""
    # A token has at least one character, so a text of few characters need not be counted.
    if len(text) <= settings.size or length(text) <= settings.size:
        return [(len(text) - len(text.lstrip()), text.strip())] if text.strip() else []
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(
        separators=_SEPARATORS,
        is_separator_regex=True,
        chunk_size=settings.size,
        chunk_overlap=settings.overlap,
        length_function=length,
    )
    # The splitter's own add_start_index takes the overlap for characters and loses the place when it is in tokens.
    placed: list[tuple[int, str]] = []
    search_from = 0
    for piece in splitter.split_text(text):
        start = text.index(piece, search_from)
        placed.append((start, piece))
        search_from = start + 1 if settings.overlap else start + len(piece)
    return placed


def _place(page: Page, start: int, end: int) -> dict[str, Any]:
    """Return the page number and the union of the boxes of the blocks that a piece of the page's text covers."""
    if page.number is None:
        return {}
    boxes: list[Box] = []
    position = 0
    for block in page.blocks:
        if block.box is not None and position < end and position + len(block.text) > start:
            boxes.append(block.box)
        position += len(block.text) + len(_BLOCK_END)
    return {"page": page.number} | ({"box": _union(boxes)} if boxes else {})


def _union(boxes: list[Box]) -> list[float]:
    left, top, right, bottom = zip(*boxes, strict=True)
    return [min(left), min(top), max(right), max(bottom)]
