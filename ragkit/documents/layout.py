"""Reading order of the blocks of a page: a recursive XY-cut that tells columns of prose from rows of a table."""

from collections.abc import Sequence

from ragkit.documents.document import Block, Box

_GUTTER = 4.0
_PROSE_LINE = 20
_PROSE_TEXT = 120
_TABLE_ROWS = 4

Placed = tuple[Box, Block]


def reading_order(blocks: Sequence[tuple[Box, Block]]) -> list[Block]:
    """Return the blocks in the order in which a reader takes them.

    The page is cut into horizontal bands at every white gap. Consecutive bands that one vertical gutter runs through
    are columns if there is prose on both sides of it, and are read column by column; bands without that (headings
    that span the columns, rows of a table) are read top down, and the blocks of a band from left to right.

    Args:
        blocks: (box, block) pairs; the box is in points with y growing downwards.
    """
    return [block for _, block in _order(list(blocks))]


def _order(blocks: list[Placed]) -> list[Placed]:
    if len(blocks) <= 1:
        return blocks
    bands = _split(blocks, axis=1, gap=0.0)
    if len(bands) == len(blocks):
        return [band[0] for band in bands]
    if len(bands) == 1 and len(_columns(bands[0])) == 1:
        return sorted(blocks, key=lambda placed: (placed[0][1], placed[0][0]))
    ordered: list[Placed] = []
    start = 0
    while start < len(bands):
        end, groups = _next_groups(bands, start)
        for group in groups:
            ordered += _order(group)
        start = end
    return ordered


def _next_groups(bands: list[list[Placed]], start: int) -> tuple[int, list[list[Placed]]]:
    """Return the end of the run of bands that begins at `start`, and the groups in which the run is read."""
    groups = _columns(bands[start])
    end, run, columns = start + 1, list(bands[start]), groups
    while len(groups) > 1 and end < len(bands):
        longer = _columns(run + bands[end])
        if sum(map(_is_prose, longer)) < 2:
            break
        run, columns, end = run + bands[end], longer, end + 1
    if _is_table(bands[start:end]):
        return end, [cell for band in bands[start:end] for cell in _columns(band)]
    return end, columns


def _columns(blocks: list[Placed]) -> list[list[Placed]]:
    return _split(blocks, axis=0, gap=_GUTTER)


def _split(blocks: list[Placed], axis: int, gap: float) -> list[list[Placed]]:
    """Group blocks whose extents along an axis (0: x, 1: y) overlap or lie within `gap` points, in order."""
    groups: list[list[Placed]] = []
    reach = 0.0
    for placed in sorted(blocks, key=lambda b: (b[0][axis], b[0][1 - axis])):
        low, high = placed[0][axis], placed[0][axis + 2]
        if groups and low < reach + gap:
            groups[-1].append(placed)
            reach = max(reach, high)
        else:
            groups.append([placed])
            reach = high
    return groups


def _is_prose(column: list[Placed]) -> bool:
    lines = [line for _, block in column for line in block.text.splitlines()]
    letters = sum(map(len, lines))
    return letters >= _PROSE_TEXT and letters >= _PROSE_LINE * len(lines)


def _is_table(bands: list[list[Placed]]) -> bool:
    """Say whether cells start at the same height in nearly every one of many rows, as in a table of prose."""
    rows = [[group[0][0][1] for group in _columns(band)] for band in bands]
    aligned = sum(len(tops) > 1 and max(tops) - min(tops) < 3 for tops in rows)
    return len(rows) >= _TABLE_ROWS and aligned >= 0.8 * len(rows)
