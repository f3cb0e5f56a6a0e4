"""What a loader hands on: a document with its pages and blocks, and the report of what was read."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ragkit.engine.state import Passage

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in points (1/72 inch) from the upper left corner of the page."""

_LISTED = 20


class Unreadable(Exception):  # noqa: N818 - a reason that ends up in the ingest report, not an error of the run
    """A file cannot be read; the text is the reason, without the file's name."""


class SourceFile(NamedTuple):
    """A file of the corpus and the id of the document in it: the path relative to the corpus root."""

    path: Path
    id: str


BlockKind = Literal["text", "heading", "table", "figure"]


class Block(NamedTuple):
    """A piece of a page.

    Attributes:
        text: of a table its caption and the table as Markdown, of a figure its caption (and the words in it).
        box: None where the format has no geometry.
        kind: what the piece is.
        level: of a heading its depth, 1 for the highest; 0 for other kinds.
    """

    text: str
    box: Box | None = None
    kind: BlockKind = "text"
    level: int = 0


class Page(NamedTuple):
    """The blocks of a page in reading order; `number` counts from 1 and is None in formats without pages."""

    number: int | None
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """A document as it was read.

    Attributes:
        id: the path relative to the corpus root, or the `id` of a JSONL row.
        pages: in order, without the pages that hold no text; one page without a number for unpaged formats.
        metadata: `source`, `document`, `title` where known, and the further fields of a JSONL row.
    """

    id: str
    pages: tuple[Page, ...]
    metadata: dict[str, Any] = field(default_factory=dict)


class ChunkedDocument(NamedTuple):
    """A document cut up: the passages that are searched, and the larger ones they are read in.

    A passage names its parent in `metadata["parent"]`; `parents` is empty where passages are read as they are found.
    """

    passages: tuple[Passage, ...]
    parents: tuple[Passage, ...] = ()


@dataclass(slots=True)
class IngestReport:
    """What was read and what was not; `str()` gives the text for the user.

    Attributes:
        files: files that were looked at.
        documents: documents read from them (a JSONL file holds many).
        pages: pages of the paged documents.
        pages_without_text: those of them without a text layer.
        tables, figures: recognised on them.
        scanned: per file, the pages that are pictures of text and could not be read.
        recognised: per file, the pages whose text comes from OCR.
        skipped: (file, `file:line` or `file, page n`; reason) of everything that was left out.
    """

    files: int = 0
    documents: int = 0
    pages: int = 0
    pages_without_text: int = 0
    tables: int = 0
    figures: int = 0
    scanned: dict[str, list[int]] = field(default_factory=dict)
    recognised: dict[str, list[int]] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def skip(self, place: str, reason: str) -> None:
        """Note that something was left out, and why."""
        self.skipped.append((place, reason))

    def __str__(self) -> str:
        lines = [f"{self.files} files, {self.documents} documents, {self.pages} pages"]
        if self.pages_without_text:
            lines[0] += f" ({self.pages_without_text} pages without text)"
        if self.tables or self.figures:
            lines[0] += f", {self.tables} tables, {self.figures} figures"
        lines += [
            f"recognised {file}: {_pages(pages)} by OCR" for file, pages in list(self.recognised.items())[:_LISTED]
        ]
        lines += [f"scanned {file}: {_pages(pages)} not read" for file, pages in list(self.scanned.items())[:_LISTED]]
        lines += [f"skipped {place}: {reason}" for place, reason in self.skipped[:_LISTED]]
        if len(self.skipped) > _LISTED:
            lines.append(f"skipped {len(self.skipped) - _LISTED} more")
        return "\n".join(lines)


def _pages(numbers: list[int]) -> str:
    """Return `page 3` or `pages 1-4, 7`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    spelt = ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
    return f"{'page' if len(numbers) == 1 else 'pages'} {spelt}"
