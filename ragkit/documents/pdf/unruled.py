"""Tables without any rule, found by how their words line up."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from ragkit.documents.document import Box
from ragkit.documents.pdf.content import Word
from ragkit.documents.pdf.geometry import overlap, union
from ragkit.documents.pdf.grid import Grid, make_grid
from ragkit.documents.pdf.judging import is_plain_table, is_table
from ragkit.documents.pdf.rows import height_of, segments, text_rows

_PROSE = 30
_ROW_GAP = 2.2


class Table(NamedTuple):
    """A table and its place."""

    box: Box
    grid: Grid


def unruled_tables(words: Sequence[Word]) -> list[Table]:
    """Return tables without rules: several rows in a row whose words stand in the same columns, mostly of numbers."""
    if len(words) < 8:
        return []
    words = _without_prose(words)
    if len(words) < 8:
        return []
    size = height_of(words)
    rows = text_rows(words)
    parted = [segments(row, 1.2 * size) for row in rows]
    found: list[Table] = []
    run: list[int] = []
    for number in range(len(rows) + 1):
        near = number < len(rows) and (not run or _follows(rows[run[-1]], rows[number], size))
        if near and (len(parted[number]) >= 2 or (run and _lone(parted, run) < 2)):
            run.append(number)
            continue
        found += _from_run(run, rows, parted)
        run = [number] if number < len(rows) and len(parted[number]) >= 2 else []
    return found


def _lone(parted: Sequence[Sequence[object]], run: Sequence[int]) -> int:
    count = 0
    for number in reversed(run):
        if len(parted[number]) >= 2:
            break
        count += 1
    return count


def _follows(above: Sequence[Word], below: Sequence[Word], size: float) -> bool:
    return min(word.box[1] for word in below) - max(word.box[3] for word in above) <= _ROW_GAP * size


def _from_run(run: list[int], rows: Sequence[list[Word]], parted: Sequence[Sequence[object]]) -> list[Table]:
    run = list(run)
    while run and len(parted[run[-1]]) < 2:
        run.pop()
    while run and len(parted[run[0]]) < 2:
        run.pop(0)
    if len(run) < 3:
        return []
    words = [word for number in run for word in rows[number]]
    box = union([word.box for word in words])
    grid = make_grid(box, words, [], [])
    if grid is None or not is_table(grid, framed=False) or not is_plain_table(grid):
        return []
    return [Table(box, grid)]


def _without_prose(words: Sequence[Word]) -> list[Word]:
    """Leave out the words of paragraphs: blocks of at least three full lines."""
    lines: dict[tuple[int, int], list[Word]] = {}
    for word in words:
        lines.setdefault(word.line, []).append(word)
    blocks: dict[int, list[tuple[Box, int]]] = {}
    for (block, _), line in lines.items():
        letters = sum(len(word.text) + 1 for word in line)
        blocks.setdefault(block, []).append((union([word.box for word in line]), letters))
    prose: set[int] = set()
    for block, parts in blocks.items():
        box = union([part for part, _ in parts])
        full = sum(part[2] - part[0] >= 0.75 * (box[2] - box[0]) and letters >= _PROSE for part, letters in parts)
        beside = any(overlap(a[1], a[3], b[1], b[3]) > 0.5 * (a[3] - a[1]) for (a, _), (b, _) in pairwise(parts))
        if len(parts) >= 3 and full >= 0.6 * len(parts) and not beside:
            prose.add(block)
    return [word for word in words if word.line[0] not in prose]
