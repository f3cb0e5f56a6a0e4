"""HTML: the text that a reader sees, one block per block-level element, with headings, tables and figures."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ragkit.documents.document import Block, BlockKind, IngestReport, SourceDocument, SourceFile
from ragkit.documents.text import clean, unpaged

_INVISIBLE = ("script", "style", "template", "noscript", "svg", "head")
_BLOCKS = re.compile(
    "address|article|aside|blockquote|caption|dd|details|div|dl|dt|fieldset|figcaption|figure|footer|form|h[1-6]|header"
    "|hr|li|main|nav|ol|option|p|pre|section|summary|table|tr|ul"
)
_HEADINGS = tuple(f"h{level}" for level in range(1, 7))
_COLUMNS = 200
_CELL = 1000


def read_html(file: SourceFile, report: IngestReport) -> Iterator[SourceDocument]:
    """Read an HTML file as one document, with the content of `<title>` as its title.

    Tables of data become Markdown under their caption; tables that only arrange a page are read cell by cell.

    Raises:
        Unreadable: nothing in it can be seen.
    """
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(file.path.read_bytes(), "html.parser")
    title = _line(soup.title.get_text()) if soup.title else None
    for element in soup.find_all(_INVISIBLE):
        element.decompose()
    yield unpaged(file, list(_Walk(soup).blocks()), title or None)


class _Walk:
    """Goes through a page in the order in which it is read; without recursion, as pages nest as deep as they like."""

    def __init__(self, soup: Any) -> None:
        self._stack: list[Any] = [soup]
        self._holds_table = _holders(soup, ("table",))
        self._arranges = _holders(soup, ("table", *_HEADINGS))
        self._words: list[str] = []
        self._level = 0

    def blocks(self) -> Iterator[Block]:
        """Return the blocks of text, headings, tables and figures."""
        from bs4.element import NavigableString, PreformattedString

        while self._stack:
            node = self._stack.pop()
            if isinstance(node, _End):
                yield from self._flush()
                self._level = 0 if node.heading else self._level
            elif isinstance(node, NavigableString):
                if not isinstance(node, PreformattedString):  # comments and the like
                    self._words.append(node)
            else:
                yield from self._enter(node)
        yield from self._flush()

    def _enter(self, element: Any) -> Iterator[Block]:
        if _BLOCKS.fullmatch(element.name):
            yield from self._flush()
            if element.name == "figure" and id(element) not in self._holds_table:
                yield from _figure(element)
                return
            if element.name == "table" and id(element) not in self._arranges and (table := _table(element)):
                yield table
                return
            heading = element.name in _HEADINGS
            self._level = int(element.name[1]) if heading else self._level
            self._stack.append(_End(heading))
        elif element.name in ("br", "td", "th"):
            self._words.append(" ")
        self._stack.extend(reversed(element.contents))

    def _flush(self) -> Iterator[Block]:
        text = _line("".join(self._words))
        self._words.clear()
        if text:
            kind: BlockKind = "heading" if self._level else "text"
            yield Block(text, kind=kind, level=self._level)


class _End:
    """Stands behind the content of a block-level element."""

    def __init__(self, heading: bool) -> None:
        self.heading = heading


class _Cell(NamedTuple):
    """A cell of a table: its words, and how many rows and columns it spans."""

    words: list[str]
    down: int
    across: int

    @property
    def text(self) -> str:
        return _line("".join(self.words)).replace("|", "\\|")


def _holders(soup: Any, names: tuple[str, ...]) -> set[int]:
    """Return the identities of the elements that hold one of these, however deep.

    Searching below each of many nested elements would cost the square of their number.
    """
    found: set[int] = set()
    for element in soup.find_all(names):
        for parent in element.parents:
            if id(parent) in found:
                break
            found.add(id(parent))
    return found


def _figure(figure: Any) -> Iterator[Block]:
    """Return a figure as its caption and the words in it, if there are any."""
    text = _line(figure.get_text(" ")) or _line(" ".join(image.get("alt", "") for image in figure.find_all("img")))
    if text:
        yield Block(text, kind="figure")


def _table(table: Any) -> Block | None:
    """Return a table without headings and further tables in it as Markdown; None if it only arranges a page."""
    grid = _grid(_rows(table))
    columns = max(map(len, grid), default=0)
    if len(grid) < 2 or columns < 2 or any(len(cell) > _CELL for row in grid for cell in row):
        return None
    lines = ["| " + " | ".join([*row, *[""] * (columns - len(row))]) + " |" for row in grid]
    lines.insert(1, "|" + " --- |" * columns)
    caption = _line(table.caption.get_text(" ")) if table.caption else ""
    return Block("\n".join([caption, *lines] if caption else lines), kind="table")


def _rows(table: Any) -> list[list[_Cell]]:
    """Return the cells of a table by row.

    HTML lets authors leave out `</td>` and `</tr>`, and the parser then nests what follows: a cell ends where the next
    one begins.
    """
    from bs4.element import NavigableString, PreformattedString

    aside = {id(node) for node in table.caption.descendants} if table.caption else set()
    rows: list[list[_Cell]] = []
    for node in table.descendants:
        if isinstance(node, NavigableString):
            if rows and rows[-1] and id(node) not in aside and not isinstance(node, PreformattedString):
                rows[-1][-1].words.append(node)
        elif node.name == "tr":
            rows.append([])
        elif node.name in ("td", "th"):
            rows = rows or [[]]
            rows[-1].append(_Cell([], _span(node, "rowspan"), _span(node, "colspan")))
        elif (node.name == "br" or _BLOCKS.fullmatch(node.name)) and rows and rows[-1]:
            rows[-1][-1].words.append(" ")
    return [row for row in rows if row]


def _grid(rows: list[list[_Cell]]) -> list[list[str]]:
    """Return the texts of the cells; a cell that spans several rows or columns stands in each of them."""
    grid: list[list[str]] = []
    hanging: dict[int, tuple[int, str]] = {}
    for row in rows:
        cells = iter(row)
        line: list[str] = []
        while len(line) < _COLUMNS:
            left, text = hanging.pop(len(line), (0, ""))
            columns = 1
            if not left:
                cell = next(cells, None)
                if cell is not None:
                    text, left, columns = cell.text, cell.down, min(cell.across, _COLUMNS - len(line))
                elif not any(column > len(line) for column in hanging):
                    break
            for _ in range(columns):
                if left > 1:
                    hanging[len(line)] = (left - 1, text)
                line.append(text)
        grid.append(line)
    return grid


def _span(cell: Any, name: str) -> int:
    value = str(cell.get(name, "1")).strip()
    return max(int(value), 1) if value.isascii() and value.isdigit() and len(value) < 6 else 1


def _line(text: str) -> str:
    return clean(" ".join(text.split()))
