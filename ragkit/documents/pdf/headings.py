"""Headings: paragraphs that stand out by size, weight or capitals, or that the PDF's outline names."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ragkit.documents.pdf.geometry import overlap, union
from ragkit.documents.pdf.paragraphs import Paragraph

_LONGEST = 160
_MOST_WORDS = 20
_LARGER = 1.14
_DEEPEST = 6
_LEAST_USES = 3
_NUMBERED = re.compile(
    r"(?:(?P<number>\d{1,2}(?:\.\d{1,2}){0,4})\.?|(?P<letter>[A-Z](?:\.\d{1,2}){0,3})\.?"
    r"|(?P<top>(?:part|chapter|section|appendix|annex|item)\s+(?:[IVX]+|\d+[A-Z]?|[A-Z])\b[.:]?))\s+(?=\S)",
    re.IGNORECASE,
)
_BULLET = re.compile(r"[•●○▪■□◦·*➢✓\-–—]\s*")
_PLAIN = re.compile(r"[\W_]+")

Outline = Mapping[int, Mapping[str, int]]
"""Of each page the entries that lead to it: their letters and digits, and their level."""


class Style(NamedTuple):
    """How a heading looks."""

    size: float
    bold: bool
    capitals: bool


class Heading(NamedTuple):
    """A heading and what tells its level."""

    style: Style
    outline_level: int
    depth: int


def read_outline(entries: Iterable[Sequence[object]]) -> Outline:
    """Return the outline of a PDF by page.

    Args:
        entries: (level, title, page from 1, ...) as PyMuPDF's `get_toc` gives them.
    """
    outline: dict[int, dict[str, int]] = defaultdict(dict)
    for level, title, page, *_ in entries:
        if isinstance(level, int) and isinstance(page, int) and _plain(str(title)):
            outline[page][_plain(str(title))] = level
    return outline


class Headings:
    """Tells the headings of a document from its text.

    Args:
        pages: (number, paragraphs) of the whole document.
        outline: of the PDF; may be empty.
    """

    def __init__(self, pages: Sequence[tuple[int, Sequence[Paragraph]]], outline: Outline) -> None:
        self._outline = outline
        letters: Counter[float] = Counter()
        bold = capitals = 0
        for _, paragraphs in pages:
            for paragraph in paragraphs:
                count = len(paragraph.text)
                letters[paragraph.size] += count
                bold += count if paragraph.bold else 0
                capitals += count if paragraph.text.isupper() else 0
        total = max(1, letters.total())
        self._body = letters.most_common(1)[0][0] if letters else 0.0
        self._bold_counts, self._capitals_count = bold < 0.35 * total, capitals < 0.2 * total
        found = [
            heading
            for number, paragraphs in pages
            for paragraph in paragraphs
            if (heading := self._heading(number, paragraph))
        ]
        self._levels = _levels(found)

    def joined(self, page: int, paragraphs: Sequence[Paragraph]) -> list[Paragraph]:
        """Join the lines of a heading that the PDF holds apart."""
        result: list[Paragraph] = []
        for paragraph in paragraphs:
            above = result[-1] if result else None
            if above and self._goes_on(page, above, paragraph):
                result[-1] = above._replace(
                    box=union([above.box, paragraph.box]),
                    text=f"{above.text}\n{paragraph.text}",
                    lines=above.lines + paragraph.lines,
                )
            else:
                result.append(paragraph)
        return result

    def _goes_on(self, page: int, above: Paragraph, below: Paragraph) -> bool:
        if (
            abs(above.size - below.size) > 0.3
            or above.bold != below.bold
            or above.text.isupper() != below.text.isupper()
            or not -0.5 * below.size < below.box[1] - above.box[3] < 0.6 * below.size
            or overlap(above.box[0], above.box[2], below.box[0], below.box[2]) <= 0
            or len(above.text) + len(below.text) > _LONGEST
        ):
            return False
        upper, lower = self._heading(page, above), self._heading(page, below._replace(text="X" + below.text))
        return bool(upper and lower) and not self._outline_level(page, above.text) and not _NUMBERED.match(below.text)

    def level(self, page: int, paragraph: Paragraph) -> int:
        """Return the level of a heading, 1 for the highest, or 0 for text."""
        heading = self._heading(page, paragraph)
        if heading is None:
            return 0
        level = heading.outline_level or heading.depth or self._levels[heading.style]
        return min(level, _DEEPEST)

    def _heading(self, page: int, paragraph: Paragraph) -> Heading | None:
        text = " ".join(paragraph.text.split())
        if not paragraph.upright or not _could_be(text, paragraph.lines):
            return None
        outline_level = self._outline_level(page, text)
        size, body = paragraph.size, self._body
        capitals = text.isupper() and self._capitals_count
        stands_out = (
            outline_level > 0
            or size >= _LARGER * body
            or (paragraph.bold and self._bold_counts and size >= 0.94 * body)
            or (capitals and size >= 0.94 * body and sum(map(str.isalpha, text)) >= 4 and len(text) <= 80)
        )
        if not stands_out or (not outline_level and text.endswith((".", ",", ";")) and len(text) > 40):
            return None
        match = _NUMBERED.match(text)
        depth = 0
        if match:
            depth = 1 if match["top"] else (match["number"] or match["letter"]).count(".") + 1
        return Heading(Style(round(size * 2) / 2, paragraph.bold, capitals), outline_level, depth)

    def _outline_level(self, page: int, text: str) -> int:
        entries = self._outline.get(page)
        if not entries:
            return 0
        plain = _plain(text)
        without = _plain(text[match.end() :]) if (match := _NUMBERED.match(text)) else plain
        return entries.get(plain) or entries.get(without) or 0


def _could_be(text: str, lines: int) -> bool:
    if not 3 <= len(text) <= _LONGEST or lines > 3 or _BULLET.match(text) or len(text.split()) > _MOST_WORDS:
        return False
    letters = sum(map(str.isalpha, text))
    return letters >= 3 and letters >= 0.5 * len(text.replace(" ", "")) and not text[0].islower()


def _levels(found: Sequence[Heading]) -> dict[Style, int]:
    """Give each style a level: that of the outline or of the numbers where most show one, else one below the larger."""
    styles: dict[Style, list[Heading]] = defaultdict(list)
    for heading in found:
        styles[heading.style].append(heading)
    levels: dict[Style, int] = {}
    above = 0
    for style in sorted(styles, key=lambda style: (-style.size, not style.bold, not style.capitals)):
        known = Counter(heading.outline_level or heading.depth for heading in styles[style])
        known.pop(0, None)
        if known.total() >= 0.3 * len(styles[style]):
            levels[style] = known.most_common(1)[0][0]
        else:
            # Below the numbered ones of the same looks (`Item 1. Business` and, as bold, `Competition`).
            levels[style] = max(above, *known, 0) + 1
        # The sizes of a title page make no levels.
        if len(styles[style]) >= min(_LEAST_USES, len(found) / 2):
            above = levels[style]
    return levels


def _plain(text: str) -> str:
    return _PLAIN.sub("", text).casefold()
