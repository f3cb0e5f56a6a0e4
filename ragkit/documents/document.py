"""What a loader hands on: a document with its pages and blocks, and the report of what was read."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from ragkit.engine.state import Passage

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in points (1/72 inch) from the upper left corner of the page."""

_LISTED = 20
_FEW = 5

UNKNOWN_FORMAT = "unknown format"


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
    """What was read and what was not; `str()` gives the text for the user, `asdict` data for JSON.

    Attributes:
        files: files that were looked at.
        reused: those of them that an interrupted build had read before.
        documents: documents read from them (a JSONL file holds many).
        pages: pages of the paged documents.
        tables: tables recognised in the documents.
        figures: figures recognised in the documents.
        passages: passages that the documents were cut into.
        without_text: the pages that hold no text, by file.
        scanned: the pages that are pictures of text and could not be read, by file.
        recognised: the pages whose text comes from OCR, by file.
        skipped: (file, `file:line` or `file, page n`; reason) of everything that was left out.
        notes: what else the user should know, each thing once.
        seconds: how long it took.
    """

    files: int = 0
    reused: int = 0
    documents: int = 0
    pages: int = 0
    tables: int = 0
    figures: int = 0
    passages: int = 0
    without_text: dict[str, list[int]] = field(default_factory=dict)
    scanned: dict[str, list[int]] = field(default_factory=dict)
    recognised: dict[str, list[int]] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Return the report that `asdict` was made from, also after a way through JSON."""
        return cls(**data | {"skipped": [(place, reason) for place, reason in data["skipped"]]})

    @property
    def pages_without_text(self) -> int:
        """How many pages hold no text."""
        return sum(map(len, self.without_text.values()))

    def skip(self, place: str, reason: str) -> None:
        """Note that something was left out, and why."""
        self.skipped.append((place, reason))

    def no_text(self, file: str, page: int) -> None:
        """Note that a page (counted from 1) holds no text."""
        self.without_text.setdefault(file, []).append(page)

    def note(self, text: str) -> None:
        """Note something once."""
        if text not in self.notes:
            self.notes.append(text)

    def count(self, document: ChunkedDocument) -> None:
        """Count a document that was taken."""
        self.documents += 1
        self.passages += len(document.passages)

    def add(self, other: "IngestReport") -> None:
        """Take in what another report counted and noted, except its time."""
        for name in ("files", "reused", "documents", "pages", "tables", "figures", "passages"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("without_text", "scanned", "recognised"):
            for file, pages in getattr(other, name).items():
                getattr(self, name).setdefault(file, []).extend(pages)
        self.skipped += other.skipped
        for text in other.notes:
            self.note(text)

    def __str__(self) -> str:
        counts = [counted(self.files, "file"), counted(self.documents, "document")]
        if self.pages:
            empty = self.pages_without_text
            counts.append(counted(self.pages, "page") + (f" ({empty:,} without text)" if empty else ""))
        counts += [
            counted(count, what)
            for count, what in ((self.tables, "table"), (self.figures, "figure"), (self.passages, "passage"))
            if count
        ]
        lines = [", ".join(counts) + (f" in {self.seconds:.1f} s" if self.seconds else "")]
        if self.reused:
            lines.append(f"{counted(self.reused, 'file')} had been read by an interrupted build")
        lines += self.notes
        for before, after, places in (
            ("recognised", " by OCR", self.recognised),
            ("scanned", " not read", self.scanned),
            ("no text in", "", self.without_text),
        ):
            listed = [f"{before} {file}: {_pages(pages)}{after}" for file, pages in places.items()]
            lines += _first(listed, f"{before} {{}} more files")
        # A folder may hold thousands of pictures: they must not push out of sight what should have been read.
        unknown: list[str] = []
        damaged: list[str] = []
        for place, reason in self.skipped:
            (unknown if reason.startswith(UNKNOWN_FORMAT) else damaged).append(f"skipped {place}: {reason}")
        lines += _first(damaged, "skipped {} more")
        lines += _first(unknown, "skipped {} more files of unknown formats", _FEW)
        return "\n".join(lines)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 file`, `2,000 files`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _first(lines: list[str], rest: str, most: int = _LISTED) -> list[str]:
    return lines[:most] + ([rest.format(f"{len(lines) - most:,}")] if len(lines) > most else [])


def _pages(numbers: list[int]) -> str:
    """Return `page 3` or `pages 1-4, 7`, long lists cut short."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    spelt = [str(low) if low == high else f"{low}-{high}" for low, high in runs[:_LISTED]]
    more = ", ..." if len(runs) > _LISTED else ""
    return f"{'page' if len(numbers) == 1 else 'pages'} {', '.join(spelt)}{more}"
