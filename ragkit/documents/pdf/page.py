"""One page, taken apart: its tables and figures with their captions, and the lines of text that are left."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ragkit.documents.document import Box
from ragkit.documents.pdf.captions import Caption, CaptionKind, find_captions, nearest
from ragkit.documents.pdf.content import Content, Line, read_content, turned
from ragkit.documents.pdf.figures import find_figures
from ragkit.documents.pdf.geometry import contains, share_inside, union
from ragkit.documents.pdf.settings import PdfSettings
from ragkit.documents.pdf.tables import find_tables
from ragkit.documents.pdf.text import is_garbage

_CAPTION_LINES = 3


@dataclass(frozen=True, slots=True)
class TablePart:
    """A table: its box without and with the caption, the caption's lines and the cells."""

    box: Box
    whole: Box
    caption: str
    rows: list[list[str]]
    header: int


@dataclass(frozen=True, slots=True)
class FigurePart:
    """A figure: its box without and with the caption, the caption's lines and the words inside."""

    box: Box
    whole: Box
    caption: str
    words: str


@dataclass(slots=True)
class PageParts:
    """What a page holds, in the position in which its text runs from left to right.

    Attributes:
        number: counts from 1.
        quarter_turns: clockwise turns from that position to the page as it is shown.
        lines: the text outside tables, figures and captions.
        readable: the page has text that is more than a few characters or garbage.
        scanned: the page is a picture of text, which was not recognised.
    """

    number: int
    width: float
    height: float
    quarter_turns: int = 0
    lines: list[Line] = field(default_factory=list)
    tables: list[TablePart] = field(default_factory=list)
    figures: list[FigurePart] = field(default_factory=list)
    readable: bool = True
    scanned: bool = False

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the page as it is shown."""
        sides = (self.height, self.width) if self.quarter_turns % 2 else (self.width, self.height)
        return round(sides[0], 1), round(sides[1], 1)

    def shown(self, box: Box) -> Box:
        """Return a box of this position as a rounded box on the page as it is shown."""
        x0, y0, x1, y1 = turned(box, self.quarter_turns, self.width, self.height)
        return (round(x0, 1), round(y0, 1), round(x1, 1), round(y1, 1))


def take_apart(pymupdf: Any, page: Any, number: int, settings: PdfSettings, recognised: Any = None) -> PageParts:
    """Read a page.

    Args:
        pymupdf: the module.
        page: of PyMuPDF.
        number: of the page, from 1.
        settings: which parts to look for.
        recognised: the text page that OCR made, if it did.
    """
    content = read_content(pymupdf, page, recognised, settings.tables, settings.figures and recognised is None)
    # Recognised text lies on the page as it is shown.
    rotation = 0 if recognised else page.rotation // 90
    parts = PageParts(number, content.width, content.height, (rotation - content.turn) % 4)
    parts.readable = not is_garbage("".join(line.text for line in content.lines))
    captions = find_captions(content.lines) if settings.tables or settings.figures else []
    lines = list(enumerate(content.lines))
    used: set[int] = set()
    tables = find_tables(content, captions) if settings.tables else []
    free = list(captions)
    for table in tables:
        caption = _take(free, table.box, ("table",)) or _take(free, table.box, ("figure",))
        used |= {position for position, line in lines if share_inside(line.box, table.box) > 0.5}
        used |= set(caption.lines) if caption else set()
        whole = union([table.box, caption.box]) if caption else table.box
        parts.tables.append(TablePart(table.box, whole, _text(content, caption), table.grid.rows, table.grid.header))
    boxes = find_figures(content, [table.box for table in tables], captions) if settings.figures else []
    kept = {position for caption in captions for position in caption.lines}
    for box in sorted(boxes, key=lambda box: (box[1], box[0])):
        caption = (
            _take(free, box, ("figure",)) or _take(free, box, ("table",)) or _unnumbered(content, box, used | kept)
        )
        inside = [position for position, line in lines if position not in used | kept and contains(box, line.box)]
        used |= set(inside)
        used |= set(caption.lines) if caption else set()
        words = "\n".join(content.lines[position].text for position in inside)
        whole = union([box, caption.box]) if caption else box
        parts.figures.append(FigurePart(box, whole, _text(content, caption), words))
    parts.lines = [line for position, line in lines if position not in used]
    return parts


def _take(captions: list[Caption], box: Box, kinds: tuple[CaptionKind, ...]) -> Caption | None:
    caption = nearest(box, captions, kinds)
    if caption:
        captions.remove(caption)
    return caption


def _unnumbered(content: Content, box: Box, used: set[int]) -> Caption | None:
    """Return up to three lines of small print right below a picture, no wider than it."""
    sizes: Counter[float] = Counter()
    for line in content.lines:
        sizes[line.size] += len(line.text)
    usual = sizes.most_common(1)[0][0] if sizes else 0.0
    found: list[int] = []
    bottom = box[3]
    for position, line in sorted(enumerate(content.lines), key=lambda placed: placed[1].box[1]):
        x0, top, x1, low = line.box
        beside = box[0] - 6 <= x0 and x1 <= box[2] + 6
        if beside and line.upright and position not in used and -3 <= top - bottom < 12 and top > box[3] - 3:
            if line.size > usual - 0.4 or len(found) == _CAPTION_LINES:
                break
            found.append(position)
            bottom = max(bottom, low)
    boxes = [content.lines[position].box for position in found]
    return Caption("figure", union(boxes), tuple(found)) if found else None


def _text(content: Content, caption: Caption | None) -> str:
    return "\n".join(content.lines[position].text for position in caption.lines) if caption else ""
