"""The text of a page with the places of its blocks in it, and what is known of a piece of that text."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ragkit.documents.document import Block, Box, Page, SourceDocument

BLOCK_END = "\n\n"
_NAME = 200


class Part(NamedTuple):
    """A block, or a stretch of a long one, and where it stands in the text of its page.

    Attributes:
        block: the block as it was read.
        start: where the part begins in the page's text.
        end: where it ends there.
        section: the headings above it, outermost first; of a heading with itself.
    """

    block: Block
    start: int
    end: int
    section: tuple[str, ...] = ()


class Piece(NamedTuple):
    """What a chunker cuts out of a page; `text` may repeat what stands elsewhere, such as the head of a table."""

    start: int
    end: int
    text: str


Text = tuple[str, list[Part]]
"""The text of a page and its parts, in order."""


def texts(document: SourceDocument) -> Iterator[tuple[Page, Text]]:
    """Return the pages with their texts; sections go on from page to page."""
    path: list[tuple[int, str]] = []
    for page in document.pages:
        parts: list[Part] = []
        start = 0
        for block in page.blocks:
            if block.kind == "heading":
                level = max(block.level, 1)
                path = [*(heading for heading in path if heading[0] < level), (level, _name(block.text))]
            end = start + len(block.text)
            parts.append(Part(block, start, end, tuple(name for _, name in path if name)))
            start = end + len(BLOCK_END)
        yield page, (BLOCK_END.join(block.text for block in page.blocks), parts)


def piece(text: str, start: int, end: int) -> Piece | None:
    """Return a stretch of a text without the white space around it; None if nothing is left."""
    inner = text[start:end]
    begin = start + len(inner) - len(inner.lstrip())
    inner = inner.strip()
    return Piece(begin, begin + len(inner), inner) if inner else None


def place(page: Page, parts: Sequence[Part], cut: Piece) -> dict[str, Any]:
    """Return the page, the box around the blocks that a piece touches, its section, and its kind if it has one.

    A piece is a table or a figure if it holds nothing else but the headings above it.

    Args:
        page: the page that the piece was cut from.
        parts: the parts of the page in order.
        cut: the piece.
    """
    first = max(bisect_right(parts, cut.start, key=lambda part: part.start) - 1, 0)
    last = bisect_right(parts, cut.end - 1, key=lambda part: part.start)
    touched = [part for part in parts[first:last] if part.end > cut.start]
    boxes = [part.block.box for part in touched if part.block.box is not None]
    kinds = {part.block.kind for part in touched} - {"heading"}
    found: dict[str, Any] = {}
    if page.number is not None:
        found["page"] = page.number
    if boxes:
        found["box"] = _union(boxes)
    # A piece that begins with headings is about what follows the last of them.
    beginning = next((part for part in touched if part.block.kind != "heading"), touched[-1] if touched else None)
    if beginning is not None and beginning.section:
        found["section"] = list(beginning.section)
    if kinds in ({"table"}, {"figure"}):
        found["kind"] = kinds.pop()
    return found


def _name(heading: str) -> str:
    """Return a heading in one line, without the marks of Markdown."""
    lines = heading.strip().split("\n")
    if len(lines) > 1 and not lines[-1].strip().strip("=-"):
        lines.pop()
    line = " ".join(" ".join(lines).split())
    return (line.strip("#").strip() if line.startswith("#") else line)[:_NAME]


def _union(boxes: list[Box]) -> list[float]:
    left, top, right, bottom = zip(*boxes, strict=True)
    return [min(left), min(top), max(right), max(bottom)]
