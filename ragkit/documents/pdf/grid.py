"""The rows and columns of a table whose place on the page is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from ragkit.documents.document import Box
from ragkit.documents.pdf.columns import white_strips
from ragkit.documents.pdf.content import Rule, Word
from ragkit.documents.pdf.heads import Cells, bridges, head_rows, spans
from ragkit.documents.pdf.rows import Row, height_of, is_value, segments, text_rows, with_signs
from ragkit.documents.pdf.tidy import tidied

_SAME = 2.0


@dataclass(slots=True)
class Grid:
    """The cells of a table, row by row; a cell's lines are parted by line ends.

    Attributes:
        rows: equally long.
        header: how many of the rows are head rows.
    """

    rows: list[list[str]]
    header: int


def make_grid(
    box: Box, words: Sequence[Word], lines_y: Sequence[float], lines_x: Sequence[float], rules: Sequence[Rule] = ()
) -> Grid | None:
    """Return the cells of a table, or None where the words do not stand in columns.

    Args:
        box: of the table.
        words: those inside.
        lines_y: heights where a rule or the edge of a shaded row crosses the table.
        lines_x: where rules run down the table.
        rules: all that run across it, from which a framed table's cells over several rows follow.
    """
    rows = [with_signs(row) for row in text_rows(words)]
    size = height_of(words)
    if not rows or size <= 0:
        return None
    inner = [x for x in lines_x if box[0] + size < x < box[2] - size]
    framed = len(inner) >= 2 or (bool(inner) and len(lines_x) >= len(inner) + 2)
    # Between drawn lines only a wide strip is a border: few words to a cell leave narrow ones by chance.
    least = 1.5 * size if framed else 0.0
    white = [(low, high) for low, high in white_strips(rows, size) if high - low >= least]
    columns = sorted([*inner, *((a + b) / 2 for a, b in white if not any(a - 3 <= x <= b + 3 for x in inner))])
    if not columns:
        return None
    bands = _bands(rows, lines_y)
    found = _table_rows(bands, columns, size, framed)
    if framed:
        found = _with_tall_cells(found, [box[0], *columns, box[2]], lines_y, rules)
    cells = [[_joined(cell) for cell in row] for row, _ in found]
    header = head_rows(found, cells, bands)
    for number in range(header):
        for first, last, text in spans(found[number][1], [box[0], *columns, box[2]], size):
            for column in range(first + 1, last + 1):
                cells[number][column] = f"{text}\n{cells[number][column]}".rstrip()
    cells, header = tidied(cells, header)
    return Grid(cells, header) if cells and len(cells[0]) > 1 else None


def _bands(rows: Sequence[list[Word]], lines_y: Sequence[float]) -> list[list[list[Word]]]:
    """Group the text rows by the rules between them."""
    bands: list[list[list[Word]]] = []
    last = -1
    for row in rows:
        middle = sum(word.box[1] + word.box[3] for word in row) / (2 * len(row))
        band = sum(line < middle for line in lines_y)
        if band != last:
            bands.append([])
            last = band
        bands[-1].append(row)
    return bands


def _table_rows(
    bands: list[list[list[Word]]], columns: Sequence[float], size: float, framed: bool
) -> list[tuple[Cells, list[Row]]]:
    """Return the rows of the table, each as its cells and the text rows that it is made of."""
    counts = [len(band) for band in bands]
    even = median(counts) <= 3 and max(counts) <= 0.6 * sum(counts)
    ruled = len(bands) >= 3 and (framed or even)
    found: list[tuple[Cells, list[Row]]] = []
    for band in bands:
        parted = [_parted(row, columns, size) for row in band]
        if ruled and not _is_several(parted):
            pieces = _from_head(parted)
            found += [(_stacked([cells for cells, _ in piece]), [row for _, row in piece]) for piece in pieces]
        else:
            found += _with_continuations(parted, band)
    return found


def _with_tall_cells(
    found: list[tuple[Cells, list[Row]]], borders: Sequence[float], lines_y: Sequence[float], rules: Sequence[Rule]
) -> list[tuple[Cells, list[Row]]]:
    """Repeat what stands in a cell over several rows in each of them: Markdown has no such cells."""
    places = [_place(cells, lines_y) for cells, _ in found]
    result = [([*cells], row) for cells, row in found]
    for column, (left, right) in enumerate(pairwise(borders)):
        middle = (left + right) / 2
        start = 0
        while start < len(found):
            end = start + 1
            while end < len(found) and not any(
                rule.low <= middle <= rule.high and abs(rule.at - y) <= _SAME
                for y in lines_y[places[end - 1] : places[end]]
                for rule in rules
            ):
                end += 1
            if places[end - 1] > places[start]:
                words = [word for cells, _ in found[start:end] for word in cells[column]]
                for cells, _ in result[start:end]:
                    cells[column] = words
            start = end
    return result


def _place(cells: Cells, lines_y: Sequence[float]) -> int:
    """Return the number of rules above a row."""
    middles = [(word.box[1] + word.box[3]) / 2 for cell in cells for word in cell]
    return sum(y < median(middles) for y in lines_y)


def _from_head(parted: list[tuple[Cells, Row]]) -> list[list[tuple[Cells, Row]]]:
    """Part head lines without a label from a first row of the table that no rule parts from them."""
    last = parted[-1][0]
    label = bool(last[0]) and len(parted) > 1 and not any(cells[0] for cells, _ in parted[:-1])
    values = any(is_value(" ".join(word.text for word in cell)) for cell in last[1:] if cell)
    if label and (values or (last[0][-1].text.endswith(":") and not any(last[1:]))):
        return [parted[:-1], parted[-1:]]
    return [parted]


def _parted(row: Sequence[Word], columns: Sequence[float], size: float) -> tuple[Cells, Row]:
    """Sort the words of a text row into columns; what runs across a border stays together in its first column."""
    cells: Cells = [[] for _ in range(len(columns) + 1)]
    pieces = segments(row, 0.5 * size)
    for piece in pieces:
        if bridges(piece, columns, size):
            cells[_column(piece.words[0], columns)] += piece.words
        else:
            for word in piece.words:
                cells[_column(word, columns)].append(word)
    return cells, pieces


def _column(word: Word, columns: Sequence[float]) -> int:
    centre = (word.box[0] + word.box[2]) / 2
    return sum(x < centre for x in columns)


def _stacked(rows: Sequence[Cells]) -> Cells:
    return [[word for row in rows for word in row[column]] for column in range(len(rows[0]))]


def _is_several(parted: Sequence[tuple[Cells, Row]]) -> bool:
    """Say whether the text rows of a band are rows of their own: most hold a value, or the same three columns."""
    if len(parted) < 2:
        return False
    filled = [{column for column, cell in enumerate(cells) if cell} for cells, _ in parted]
    full = sum(
        len(columns) >= 2 and any(is_value(" ".join(word.text for word in cells[column])) for column in columns)
        for columns, (cells, _) in zip(filled, parted, strict=True)
    )
    if full >= max(2, 0.6 * len(parted)):
        return True
    same = max(filled.count(columns) for columns in filled if len(columns) >= 3) if max(map(len, filled)) >= 3 else 0
    return same >= max(2, 0.8 * len(parted))


def _with_continuations(
    parted: Sequence[tuple[Cells, Row]], band: Sequence[list[Word]]
) -> list[tuple[Cells, list[Row]]]:
    """Make text rows rows of the table, joining the second and later lines of a cell to the first."""
    tops = [min(word.box[1] for word in row) for row in band]
    pitches = [low - high for high, low in pairwise(tops)]
    wide = max(pitches, default=0.0)
    usual = median(pitches) if pitches else 0.0
    found: list[tuple[Cells, list[Row]]] = []
    for number, (cells, row) in enumerate(parted):
        if found and _continues(found[-1][0], cells, pitches[number - 1], usual, wide):
            found[-1] = (_stacked([found[-1][0], cells]), [*found[-1][1], row])
        else:
            found.append((cells, [row]))
    return found


def _continues(above: Cells, cells: Cells, pitch: float, usual: float, wide: float) -> bool:
    filled = [column for column, cell in enumerate(cells) if cell]
    if any(not above[column] for column in filled) and not _is_lower(cells[0]):
        return False
    texts = [" ".join(word.text for word in cells[column]) for column in filled]
    if filled == [0]:
        return _is_lower(cells[0]) and pitch <= 1.1 * usual
    if _is_lower(cells[0]) and not any(above[column] for column in filled if column):
        # A label that is wrapped with its values on the last line.
        return pitch <= 1.1 * usual
    if 0 in filled or any(is_value(text) for text in texts):
        return False
    return pitch <= 0.8 * wide or all(text[0].islower() for text in texts)


def _is_lower(cell: Sequence[Word]) -> bool:
    return bool(cell) and cell[0].text[0].islower()


def _joined(cell: Sequence[Word]) -> str:
    lines = text_rows(cell)
    return "\n".join(" ".join(word.text for word in line) for line in lines)
