"""Running headers, footers and page numbers: what stands at the same place of many pages."""

import re
from collections import defaultdict
from collections.abc import Sequence
from statistics import median

from ragkit.documents.pdf.content import Line
from ragkit.documents.pdf.page import PageParts

_ZONE = 0.13
_MOST_LINES = 12
_NEAR = 8.0
_LEAST_PAGES = 3
_DIGITS = re.compile(r"\d+")
_PAGE_OF = re.compile(r"(?:page|seite|p\.)?\s*#\s*(?:of|/|von|\|)\s*#", re.IGNORECASE)
_ROMAN = re.compile(r"[ivxl]{1,6}", re.IGNORECASE)


def drop_running(pages: Sequence[PageParts]) -> None:
    """Take the running lines out of pages, unless the document has no other text."""
    places: dict[tuple[bool, str], list[tuple[int, Line]]] = defaultdict(list)
    for index, page in enumerate(pages):
        for is_top, line in _edge_lines(page):
            places[is_top, _key(line.text)].append((index, line))
    running: dict[int, set[int]] = defaultdict(set)
    for (_, key), found in places.items():
        for index, line in _repeated(key, found, pages):
            running[index].add(id(line))
    left = any(page.tables or page.figures or len(page.lines) > len(running[i]) for i, page in enumerate(pages))
    if left:
        for index, page in enumerate(pages):
            page.lines = [line for line in page.lines if id(line) not in running[index]]


def _edge_lines(page: PageParts) -> list[tuple[bool, Line]]:
    """Return (at the top?, line) of the margins, and the first and last line wherever they stand."""
    lines = sorted((line for line in page.lines if line.upright), key=lambda line: line.box[1] + line.box[3])
    top = [line for line in lines[:_MOST_LINES] if line.box[3] < _ZONE * page.height] or lines[:1]
    bottom = [line for line in lines[-_MOST_LINES:] if line.box[1] > (1 - _ZONE) * page.height] or lines[-1:]
    return [(True, line) for line in top] + [(False, line) for line in bottom]


def _key(text: str) -> str:
    text = " ".join(text.casefold().split())
    return "roman" if _ROMAN.fullmatch(text) else _DIGITS.sub("#", text)


def _repeated(key: str, found: list[tuple[int, Line]], pages: Sequence[PageParts]) -> list[tuple[int, Line]]:
    height = median(line.box[1] for _, line in found)
    near = [(index, line) for index, line in found if abs(line.box[1] - height) <= _NEAR]
    indexes = sorted({index for index, _ in near})
    if _PAGE_OF.fullmatch(key):
        return near if len(indexes) >= 2 else []
    if not any(map(str.isalpha, key)):
        # A page number may follow the text instead of standing at the foot of the page.
        return found if _counts_up(found) else []
    if len(indexes) < _LEAST_PAGES:
        return []
    # Chapter titles stand on the pages of their chapter, and on every second page of a book.
    span = indexes[-1] - indexes[0] + 1
    return near if len(indexes) >= 0.25 * len(pages) or span <= 2.5 * len(indexes) else []


def _counts_up(found: Sequence[tuple[int, Line]]) -> bool:
    """Say whether the numbers go up with the pages."""
    offsets: dict[int, int] = defaultdict(int)
    for index, line in found:
        for number in _DIGITS.findall(line.text)[:2]:
            offsets[int(number[:9]) - index] += 1
    return max(offsets.values(), default=0) >= max(_LEAST_PAGES, 0.5 * len(found))
