"""The rows and columns of a table whose place on the page is known."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from ragkit.documents.document import Box
from ragkit.documents.pdf.content import Rule, Word
from ragkit.documents.pdf.geometry import overlap, union

_SAME = 2.0
_PREFIXES = frozenset(["$", "€", "£", "¥", "US$", "C$", "A$", "R$", "Rs.", "Rs", "₹", "~", "±"])
_SUFFIXES = frozenset([")", "%", ")%", "%)", "*", "**", "***", "†", "‡", "x", "bps", ")*"])
_VALUE = re.compile(r"[\d.,:;%$€£()\[\]/*±+~<>≤≥=\-\u2010-\u2015\u2212\s]+|n/?a|nil|na|none|tr|[x✓✗✔✘•]", re.IGNORECASE)


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
        height = word.box[3] - word.box[1]
        # Large letters have large spaces; numbers that stand beside each other belong to different columns.
        least = 0.33 * height if found and _are_values(found[-1][-1], word) else max(gap, 0.35 * height)
        if found and word.box[0] - reach < least:
            found[-1].append(word)
            reach = max(reach, word.box[2])
        else:
            found.append([word])
            reach = word.box[2]
    return [Segment(words[0].box[0], max(word.box[2] for word in words), tuple(words)) for words in found]


def _are_values(left: Word, right: Word) -> bool:
    return right.text[0].isdigit() and left.text[-1] in "0123456789%)" and is_value(left.text) and is_value(right.text)


def with_signs(row: Sequence[Word]) -> list[Word]:
    """Put currency signs to the number after them, and per cent signs and closing brackets to the one before."""
    joined: list[Word] = []
    for word in row:
        gap = word.box[0] - joined[-1].box[2] if joined else 0.0
        # No wider than a space, they are in one cell anyway, and the space stays.
        if gap > 0.4 * (word.box[3] - word.box[1]) and (
            (joined[-1].text in _PREFIXES and is_value(word.text))
            or (word.text in _SUFFIXES and is_value(joined[-1].text) and gap < 12)
        ):
            last = joined.pop()
            joined.append(Word(union([last.box, word.box]), last.text + word.text, last.line, last.bold))
        else:
            joined.append(word)
    return joined


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
    rows = [with_signs(row) for row in text_rows(words)]
    size = height_of(words)
    if not rows or size <= 0:
        return None
    inner = [x for x in lines_x if box[0] + size < x < box[2] - size]
    framed = len(inner) >= 2 or (bool(inner) and len(lines_x) >= len(inner) + 2)
    # Between drawn lines only a wide strip is a border: few words to a cell leave narrow ones by chance.
    least = 1.5 * size if framed else 0.0
    white = [(low, high) for low, high in _white(rows, size) if high - low >= least]
    columns = sorted([*inner, *((a + b) / 2 for a, b in white if not any(a - 3 <= x <= b + 3 for x in inner))])
    if not columns:
        return None
    bands = _bands(rows, lines_y)
    found = _table_rows(bands, columns, size)
    cells = [[_joined(cell) for cell in row] for row, _ in found]
    header = _header(found, cells, bands)
    for number in range(header):
        for first, last, text in _spans(found[number][1], [box[0], *columns, box[2]], size):
            for column in range(first + 1, last + 1):
                cells[number][column] = f"{text}\n{cells[number][column]}".rstrip()
    cells, header = _tidied(cells, header)
    return Grid(cells, header) if cells and len(cells[0]) > 1 else None


def _white(rows: Sequence[Sequence[Word]], size: float) -> list[tuple[float, float]]:
    """Return (left, right) of the white strips that part the columns."""
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
            if position - open_at >= gap or (
                position - open_at >= 0.3 * size and _between_values(body, open_at, position)
            ):
                strips.append((open_at, position))
            open_at = None
    return _with_content(strips, body) if allowed else strips


def _between_values(body: Sequence[Row], low: float, high: float) -> bool:
    """Say whether numbers stand on both sides of a strip in nearly all rows that have words on both sides."""
    numbers = words = 0
    for row in body:
        left = [s for s in row if s.x1 <= low + 0.1]
        right = [s for s in row if s.x0 >= high - 0.1]
        if left and right:
            words += 1
            numbers += is_value(left[-1].words[-1].text) and is_value(right[0].words[0].text)
    return words >= 2 and numbers >= 0.7 * words


def _with_content(strips: list[tuple[float, float]], body: Sequence[Row]) -> list[tuple[float, float]]:
    """Leave out strips that open a column which hardly any row fills: they lie in a column of uneven length."""
    kept = list(strips)
    number = 1
    while number < len(kept):
        low, high = sum(kept[number - 1]) / 2, sum(kept[number]) / 2
        filled = sum(any(low < (s.x0 + s.x1) / 2 < high and s.x0 > low - 1 for s in row) for row in body)
        if filled < max(2, 0.15 * len(body)):
            del kept[number - 1 if _crossings(low, body) > _crossings(high, body) else number]
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
            pieces = _from_head(parted)
            found += [(_stacked([cells for cells, _ in piece]), [row for _, row in piece]) for piece in pieces]
        else:
            found += _with_continuations(parted, band)
    return found


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


def _header(
    found: Sequence[tuple[Cells, list[Row]]],
    cells: Sequence[Sequence[str]],
    bands: Sequence[Sequence[Sequence[Word]]],
) -> int:
    """Return the number of head rows."""
    if len(cells) < 2:
        return 0
    empty = 0
    while empty < min(5, len(cells) - 1) and not cells[empty][0]:
        empty += 1
    if empty:
        return empty
    bold = [all(word.bold for cell in row for word in cell) for row, _ in found]
    if bold[0] and not all(bold):
        return min(bold.index(False), 3)
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


def _spans(pieces: Sequence[Row], borders: Sequence[float], size: float) -> list[tuple[int, int, str]]:
    """Return (first column, last column, text) of what runs over several columns of a head row.

    Args:
        pieces: the text rows that the head row is made of.
        borders: of the columns, with the edges of the table.
        size: height of the words.
    """
    found: list[tuple[int, int, str]] = []
    for row in pieces:
        for piece in row:
            covered = [
                column
                for column, (left, right) in enumerate(pairwise(borders))
                if overlap(piece.x0, piece.x1, left, right) > 0.35 * (right - left)
            ]
            whole = len(piece.words) == 1 or _bridges(piece, borders[1:-1], size)
            if len(covered) > 1 and whole:
                found.append((covered[0], covered[-1], " ".join(word.text for word in piece.words)))
    return found


def _tidied(cells: list[list[str]], header: int) -> tuple[list[list[str]], int]:
    """Put currency and per cent signs to their numbers, and leave out empty columns and rows."""
    column = 0
    while cells and column < len(cells[0]):
        body = {row[column] for row in cells[header:]} - {""}
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
