"""Cells as a reader would write them: signs at their numbers, nothing empty."""

from collections.abc import Sequence

from ragkit.documents.pdf.rows import PREFIXES, SUFFIXES, is_value


def tidied(cells: list[list[str]], header: int) -> tuple[list[list[str]], int]:
    """Put currency and per cent signs to their numbers, and leave out empty columns and rows."""
    column = 0
    while cells and column < len(cells[0]):
        body = {row[column] for row in cells[header:]} - {""}
        if body and body <= PREFIXES and column + 1 < len(cells[0]):
            _merge(cells, column, glue="")
        elif body and body <= SUFFIXES and column > 0:
            column -= 1
            _merge(cells, column, glue="")
        elif column and column + 1 < len(cells[0]) and _are_one(cells, column, header):
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


def _are_one(cells: Sequence[Sequence[str]], column: int, header: int) -> bool:
    """Say whether two columns of numbers never stand side by side and share one head: shifted numbers of one column."""
    pairs = [(row[column], row[column + 1]) for row in cells]
    heads = [any(pair[side] for pair in pairs[:header]) for side in (0, 1)]
    numbers = [left or right for left, right in pairs[header:] if left or right]
    return sum(heads) == 1 and not any(a and b for a, b in pairs) and bool(numbers) and all(map(is_value, numbers))


def _merge(cells: list[list[str]], column: int, glue: str) -> None:
    for row in cells:
        left, right = row[column], row.pop(column + 1)
        row[column] = left if left == right else f"{left}{glue}{right}"
