"""The rows and columns of a table whose place on the page is known."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from ragkit.documents.document import Box
from ragkit.documents.pdf.content import Rule, Word
from ragkit.documents.pdf.geometry import overlap

_SAME = 2.0
_PREFIXES = frozenset("$ € £ ¥ US$ C$ A$ R$ Rs. Rs ₹ ~ ±".split())
_SUFFIXES = frozenset(") % )% %) * ** *** † ‡ x bps )*".split())
_VALUE = re.compile(r"[\d.,:;%$€£()\[\]/*±+~<>≤≥=\-\u2010-\u2015\u2212\s]+|n/?a|nil|na|none|tr|[x✓✗✔✘•]", re.IGNORECASE)
_DASHES = re.compile(r"[\-\u2010-\u2015\u2212]+")


class Segment(NamedTuple):
    """Words of a row that stand close together."""

    x0: float
    x1: float
    words: tuple[Word, ...]


Row = list[Segment]


@dataclass(slots=True)
class Grid:
    """The cells of a table, row by row; a cell's lines are parted by line ends.

    Attributes:
        rows: equally long.
        header: how many of the rows are head rows.
    """

    rows: list[list[str]]
    header: int


def is_value(text: str) -> bool:
    """Say whether a cell holds a number or a mark that stands for one."""
    return bool(_VALUE.fullmatch(text)) and (any(map(str.isdigit, text)) or len(text) <= 4)


def text_rows(words: Sequence[Word]) -> list[list[Word]]:
    """Return words that stand beside each other, from the top down, each row from left to right."""
    rows: list[list[Word]] = []
    bottom = middle = 0.0
    for word in sorted(words, key=lambda word: word.box[1] + word.box[3]):
        _, top, _, low = word.box
        centre = (top + low) / 2
        if rows and centre < bottom and centre - middle < 0.45 * max(low - top, bottom - middle):
            rows[-1].append(word)
        else:
            rows.append([word])
            middle, bottom = centre, low
    for row in rows:
        row.sort(key=lambda word: word.box[0])
    return rows


def segments(row: Sequence[Word], gap: float) -> Row:
    """Join the words of a row that stand closer than `gap`."""
    found: list[list[Word]] = []
    reach = 0.0
    for word in row:
        # Large letters have large spaces.
        if found and word.box[0] - reach < max(gap, 0.35 * (word.box[3] - word.box[1])):
            found[-1].append(word)
            reach = max(reach, word.box[2])
        else:
            found.append([word])
            reach = word.box[2]
    return [Segment(words[0].box[0], max(word.box[2] for word in words), tuple(words)) for words in found]


def height_of(words: Sequence[Word]) -> float:
    """Return the usual height of the words."""
    return median(word.box[3] - word.box[1] for word in words) if words else 0.0


def cuts(rules: Sequence[Rule], low: float, high: float, share: float) -> list[float]:
    """Return where rules along an axis cover at least a share of the way from `low` to `high`."""
    near = sorted(rule for rule in rules if overlap(rule.low, rule.high, low, high) > 0)
    found: list[float] = []
    start = 0
    while start < len(near):
        end = start
        while end < len(near) and near[end].at - near[start].at <= _SAME:
            end += 1
        if _covered(near[start:end], low, high) >= share * (high - low):
            found.append(sum(rule.at for rule in near[start:end]) / (end - start))
        start = end
    return found


def _covered(rules: Sequence[Rule], low: float, high: float) -> float:
    total, reach = 0.0, low
    for rule in sorted(rules, key=lambda rule: rule.low):
        start, end = max(rule.low, reach), min(rule.high, high)
        if end > start:
            total += end - start
            reach = end
    return total


def make_grid(box: Box, words: Sequence[Word], lines_y: Sequence[float], lines_x: Sequence[float]) -> Grid | None:
    """Return the cells of a table, or None where the words do not stand in columns.

    Args:
        box: of the table.
        words: those inside.
        lines_y: heights where a rule or the edge of a shaded row crosses the table.
        lines_x: where rules run down the table.
    """
    rows = text_rows(words)
    size = height_of(words)
    if not rows or size <= 0:
        return None
    inner = [x for x in lines_x if box[0] + size < x < box[2] - size]
    framed = len(inner) >= 2 or (bool(inner) and len(lines_x) >= len(inner) + 2)
    columns = inner if framed else sorted({*inner, *_white(rows, size, inner)})
    if not columns:
        return None
    bands = _bands(rows, lines_y)
    found = _table_rows(bands, columns, size)
    cells = [[_joined(cell, rows) for cell in row] for row, _ in found]
    header = _header(found, cells, bands, columns, size)
    for number in range(header):
        for first, last, text in _spans(found[number][1], columns, size, rows):
            for column in range(first + 1, last + 1):
                cells[number][column] = cells[number][column] or text
    cells, header = _tidied(cells, header)
    return Grid(cells, header) if cells and len(cells[0]) > 1 else None


def _white(rows: Sequence[Sequence[Word]], size: float, inner: Sequence[float]) -> list[float]:
    """Return the middles of the white strips that part the columns."""
    found = [segments(row, 0.5 * size) for row in rows]
    most = max(len(row) for row in found)
    body = [row for row in found if len(row) >= max(2, 0.5 * most)]
    if not body:
        return []
    gap = size * (0.5 if len(body) >= 6 else 0.65 if len(body) >= 3 else 1.0)
    allowed = int(0.1 * len(body))
    events = sorted([(s.x0, 1) for row in body for s in row] + [(s.x1, -1) for row in body for s in row])
    strips: list[tuple[float, float]] = []
    depth, open_at = 0, None
    for position, step in events:
        before = depth
        depth += step
        if before > allowed >= depth:
            open_at = position
        elif before <= allowed < depth and open_at is not None:
            if position - open_at >= gap:
                strips.append((open_at, position))
            open_at = None
    middles = [(low + high) / 2 for low, high in strips]
    return _with_content(middles, body) if allowed else middles


def _with_content(middles: list[float], body: Sequence[Row]) -> list[float]:
    """Leave out strips that open a column which hardly any row fills: they lie in a column of uneven length."""
    kept = list(middles)
    number = 0
    while number < len(kept):
        low = kept[number - 1] if number else float("-inf")
        middle = kept[number]
        filled = sum(any(low < (s.x0 + s.x1) / 2 < middle and s.x0 > low - 1 for s in row) for row in body)
        if filled < max(2, 0.15 * len(body)) and number:
            del kept[number - 1 if _crossings(low, body) > _crossings(middle, body) else number]
            number = max(0, number - 1)
        else:
            number += 1
    return kept


def _crossings(x: float, body: Sequence[Row]) -> int:
    return sum(any(s.x0 < x - 1 and s.x1 > x + 1 for s in row) for row in body)


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


Cells = list[list[Word]]


def _table_rows(bands: list[list[list[Word]]], columns: Sequence[float], size: float) -> list[tuple[Cells, list[Row]]]:
    """Return the rows of the table, each as its cells and the text rows that it is made of."""
    counts = [len(band) for band in bands]
    ruled = len(bands) >= 3 and median(counts) <= 3 and max(counts) <= 0.6 * sum(counts)
    found: list[tuple[Cells, list[Row]]] = []
    for band in bands:
        parted = [_parted(row, columns, size) for row in band]
        if ruled and not _is_several(parted):
            found.append((_stacked([cells for cells, _ in parted]), [row for _, row in parted]))
        else:
            found += _with_continuations(parted, band)
    return found


def _parted(row: Sequence[Word], columns: Sequence[float], size: float) -> tuple[Cells, Row]:
    """Sort the words of a text row into columns; what runs across a border stays together in its first column."""
    cells: Cells = [[] for _ in range(len(columns) + 1)]
    pieces = segments(row, 0.5 * size)
    for piece in pieces:
        # Where no word stands on a border, the words of the segment belong to their own columns.
        crossing = any(word.box[0] < x - 1 and word.box[2] > x + 1 for word in piece.words for x in columns)
        if crossing or _bridges(piece, columns, size):
            cells[_column(piece.words[0], columns)] += piece.words
        else:
            for word in piece.words:
                cells[_column(word, columns)].append(word)
    return cells, pieces


def _bridges(piece: Segment, columns: Sequence[float], size: float) -> bool:
    """Say whether a segment runs over a border with no more than a space between its words there."""
    for x in columns:
        if piece.x0 < x < piece.x1:
            left = max((word.box[2] for word in piece.words if word.box[2] <= x + 1), default=None)
            right = min((word.box[0] for word in piece.words if word.box[0] >= x - 1), default=None)
            if left is not None and right is not None and right - left < 0.4 * size:
                return True
    return False


def _column(word: Word, columns: Sequence[float]) -> int:
    centre = (word.box[0] + word.box[2]) / 2
    return sum(x < centre for x in columns)


def _stacked(rows: Sequence[Cells]) -> Cells:
    return [[word for row in rows for word in row[column]] for column in range(len(rows[0]))]


def _is_several(parted: Sequence[tuple[Cells, Row]]) -> bool:
    """Say whether most text rows of a band carry a label and several values: they are rows of their own."""
    if len(parted) < 2:
        return False
    full = sum(
        bool(cells[0]) and sum(is_value(" ".join(word.text for word in cell)) for cell in cells[1:] if cell) >= 2
        for cells, _ in parted
    )
    return full >= max(2, 0.6 * len(parted))


def _with_continuations(
    parted: Sequence[tuple[Cells, Row]], band: Sequence[list[Word]]
) -> list[tuple[Cells, list[Row]]]:
    """Make text rows rows of the table, joining the second and later lines of a cell to the first."""
    tops = [min(word.box[1] for word in row) for row in band]
    pitches = [low - high for high, low in zip(tops, tops[1:], strict=False)]
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


def _joined(cell: Sequence[Word], rows: Sequence[Sequence[Word]]) -> str:
    lines = text_rows(cell)
    return "\n".join(" ".join(word.text for word in line) for line in lines)


def _header(
    found: Sequence[tuple[Cells, list[Row]]],
    cells: Sequence[Sequence[str]],
    bands: Sequence[Sequence[Sequence[Word]]],
    columns: Sequence[float],
    size: float,
) -> int:
    """Return the number of head rows."""
    if len(cells) < 2:
        return 0
    empty = 0
    while empty < min(5, len(cells) - 1) and not cells[empty][0]:
        empty += 1
    if empty:
        return empty
    if len(bands) > 1:
        in_first = sum(1 for _ in _rows_of_band(found, bands[0]))
        if in_first <= 3 and in_first <= len(cells) / 2:
            first, second = cells[0], cells[min(in_first, len(cells) - 1)]
            return 0 if _alike(first, second) and len(bands) > 3 else max(1, in_first)
    return 0 if _alike(cells[0], cells[1]) else 1


def _rows_of_band(found: Sequence[tuple[Cells, list[Row]]], band: Sequence[Sequence[Word]]) -> list[int]:
    words = {id(word) for row in band for word in row}
    return [
        number for number, (cells, _) in enumerate(found) if any(id(word) in words for cell in cells for word in cell)
    ]


def _alike(first: Sequence[str], second: Sequence[str]) -> bool:
    """Say whether a row carries a label and values just as the next one does."""
    values = [is_value(a) and is_value(b) for a, b in zip(first[1:], second[1:], strict=True) if a or b]
    return bool(first[0]) and not is_value(first[0]) and sum(values) >= max(1, 0.6 * len(values)) and bool(values)


def _spans(
    pieces: Sequence[Row], columns: Sequence[float], size: float, rows: Sequence[Sequence[Word]]
) -> list[tuple[int, int, str]]:
    """Return (first column, last column, text) of what runs over several columns of a head row."""
    found: list[tuple[int, int, str]] = []
    for row in pieces:
        for piece in row:
            first = sum(x < piece.x0 + 1 for x in columns)
            last = sum(x < piece.x1 - 1 for x in columns)
            if last > first and (_bridges(piece, columns, size) or len(piece.words) == 1):
                found.append((first, last, " ".join(word.text for word in piece.words)))
    return found


def _tidied(cells: list[list[str]], header: int) -> tuple[list[list[str]], int]:
    """Put currency and per cent signs to their numbers, and leave out empty columns and rows."""
    column = 0
    while cells and column < len(cells[0]):
        body = {row[column] for row in cells[header:]} - {""}
        # Dashes stand for a missing number and may share the column of the signs.
        if body and body <= _PREFIXES and column + 1 < len(cells[0]):
            _merge(cells, column, glue="")
        elif body and body <= _SUFFIXES and column > 0:
            column -= 1
            _merge(cells, column, glue="")
        elif not body and column + 1 < len(cells[0]) and not any(row[column] for row in cells[:header]):
            for row in cells:
                del row[column]
        else:
            column += 1
    if cells and cells[0] and not any(row[-1] for row in cells):
        for row in cells:
            row.pop()
    kept = [number for number, row in enumerate(cells) if any(row)]
    return [cells[number] for number in kept], sum(number < header for number in kept)


def _merge(cells: list[list[str]], column: int, glue: str) -> None:
    for row in cells:
        left, right = row[column], row.pop(column + 1)
        row[column] = left if left == right else f"{left}{glue}{right}"
