"""The head rows of a table: how many there are, and which of their texts stand over several columns."""

from collections.abc import Sequence
from itertools import pairwise

from ragkit.documents.pdf.content import Word
from ragkit.documents.pdf.geometry import overlap
from ragkit.documents.pdf.rows import Row, Segment, is_value

Cells = list[list[Word]]


def bridges(piece: Segment, columns: Sequence[float], size: float) -> bool:
    """Say whether a segment runs over a border: in a word, or with no more than a space between its words there."""
    for x in columns:
        if piece.x0 < x < piece.x1:
            if any(word.box[0] < x - 1 and word.box[2] > x + 1 for word in piece.words):
                return True
            left = max((word.box[2] for word in piece.words if word.box[2] <= x + 1), default=None)
            right = min((word.box[0] for word in piece.words if word.box[0] >= x - 1), default=None)
            if left is not None and right is not None and right - left < 0.4 * size:
                return True
    return False


def head_rows(
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


def spans(pieces: Sequence[Row], borders: Sequence[float], size: float) -> list[tuple[int, int, str]]:
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
                if overlap(piece.x0, piece.x1, left, right) > 0.25 * (right - left)
            ]
            # What begins in the first column is a title of the table.
            if len(covered) > 1 and covered[0] > 0 and bridges(piece, borders[1:-1], size):
                found.append((covered[0], covered[-1], " ".join(word.text for word in piece.words)))
    return found
