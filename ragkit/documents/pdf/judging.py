"""What is a table, and what only looks like one."""

import re
from statistics import mean

from ragkit.documents.pdf.grid import Grid
from ragkit.documents.pdf.rows import is_value

_LONG_CELL = 60
_SHORT_CELL = 25
_MARK = re.compile(r"[•●○▪■□◦·*\-–—]|\(?[\divx]{1,3}[.)]")
_NUMBER = re.compile(r"\(\d+[a-z]?\)")


def is_table(grid: Grid, framed: bool) -> bool:
    """Tell a table from text that stands between rules, lists with bullets and numbered equations."""
    rows, width = grid.rows, len(grid.rows[0])
    filled = [cell for row in rows for cell in row if cell]
    wide = sum(sum(map(bool, row)) >= 2 for row in rows)
    if len(rows) < 2 or wide < 2 or len(filled) < 4:
        return False
    if len(filled) < 0.3 * len(rows) * width or wide < 0.4 * len(rows):
        return False
    if width == 2 and not framed:
        if wide < 0.6 * len(rows) or (sum(map(len, filled)) > _LONG_CELL * len(filled) and len(rows) < 4):
            return False
        if all(_MARK.fullmatch(row[0]) for row in rows if row[0]) or all(
            _NUMBER.fullmatch(row[1]) for row in rows if row[1]
        ):
            return False
    return True


def is_plain_table(grid: Grid) -> bool:
    """Say whether words that line up without any rule are a table: nearly every cell filled, mostly by numbers."""
    rows, width = grid.rows, len(grid.rows[0])
    filled = [cell for row in rows for cell in row if cell]
    if len(rows) < 3 or len(filled) < 0.6 * len(rows) * width or mean(map(len, filled)) > _SHORT_CELL:
        return False
    columns = [[row[column] for row in rows[grid.header :] if row[column]] for column in range(1, width)]
    valued = sum(len(cells) >= 2 and sum(map(is_value, cells)) >= 0.7 * len(cells) for cells in columns)
    return valued >= max(1, 0.5 * len(columns)) or (width >= 3 and mean(map(len, filled)) <= 15)
