"""Tables of a page: found by their rules, their shaded rows or, where neither is drawn, by how their words line up.

PyMuPDF's `find_tables` is not used: it takes hundreds of times as long as reading the text, and what it finds depends
on whether a layout model was activated somewhere in the process.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from statistics import mean
from typing import NamedTuple

from ragkit.documents.document import Box
from ragkit.documents.pdf.captions import Caption, nearest
from ragkit.documents.pdf.content import Content, Rule, Word
from ragkit.documents.pdf.geometry import area, contains, grown, overlap, share_inside, union
from ragkit.documents.pdf.grid import Grid, cuts, height_of, is_value, make_grid, segments, text_rows

_TOUCH = 3.0
_MOST_RULES = 3000
_PROSE = 30
_LONG_CELL = 60
_SHORT_CELL = 25
_MARK = re.compile(r"[•●○▪■□◦·*\-–—]|\(?[\divx]{1,3}[.)]")
_NUMBER = re.compile(r"\(\d+[a-z]?\)")
_ROW_GAP = 2.2


class Table(NamedTuple):
    """A table and its place."""

    box: Box
    grid: Grid


def find_tables(content: Content, found_captions: Sequence[Caption]) -> list[Table]:
    """Return the tables of a page, none inside another.

    Args:
        content: with words.
        found_captions: of the page; they end a table, and a drawing with the caption of a figure is none.
    """
    captions = [caption.box for caption in found_captions]
    words = [word for word in content.words if not any(contains(box, word.box) for box in captions)]
    found: list[Table] = []
    # Text over a picture as large as the page is recognised text, or stands on a background.
    pictures = [box for box in content.images if area(box) < 0.85 * content.width * content.height]
    stacks = [_with_open_ends(box, words) for box in _stacks(content, words, captions)]
    for box in _grids(content) + sorted(stacks, key=area, reverse=True):
        if any(share_inside(box, image) > 0.6 for image in pictures) or any(
            share_inside(box, table.box) > 0.5 or share_inside(table.box, box) > 0.5 for table in found
        ):
            continue
        inside = [word for word in words if contains(grown(box, 1), word.box)]
        table = _table(content, box, inside) if len(inside) >= 4 else None
        if table and not _is_figure(content, table.box, found_captions):
            found.append(table)
    rest = [word for word in words if not any(contains(table.box, word.box) for table in found)]
    found += [table for table in _unruled(rest) if not _is_drawn_over(content, table.box)]
    return _continued(found, words)


def _is_figure(content: Content, box: Box, captions: Sequence[Caption]) -> bool:
    """Say whether what looks like a table is a part of a drawing."""
    caption = nearest(box, captions, ("table", "figure"))
    return caption is not None and caption.kind == "figure" and _is_drawn_over(content, box)


def _continued(tables: list[Table], words: Sequence[Word]) -> list[Table]:
    """Join a table to the one right above it with as many columns, if it has no head of its own."""
    joined: list[Table] = []
    for table in sorted(tables, key=lambda table: table.box[1]):
        x0, top, x1, _ = table.box
        for number, above in enumerate(joined):
            between = (min(x0, above.box[0]), above.box[3], max(x1, above.box[2]), top)
            if (
                table.grid.header == 0
                and len(table.grid.rows[0]) == len(above.grid.rows[0])
                and abs(above.box[0] - x0) + abs(above.box[2] - x1) < 12
                and -_TOUCH < top - above.box[3] < 40
                and sum(contains(between, word.box) for word in words) <= 8
            ):
                label = [word.text for word in words if contains(between, word.box)]
                rows = [[" ".join(label), *[""] * (len(above.grid.rows[0]) - 1)]] if label else []
                grid = Grid([*above.grid.rows, *rows, *table.grid.rows], above.grid.header)
                joined[number] = Table(union([above.box, table.box]), grid)
                break
        else:
            joined.append(table)
    return joined


def _is_drawn_over(content: Content, box: Box) -> bool:
    """Say whether words that line up are the labels of a chart or a picture."""
    drawn = [shape for shape, curved in content.shapes if curved and area(shape) > 20]
    bars = [fill for fill in content.fills if fill[3] - fill[1] > max(25.0, 1.5 * (fill[2] - fill[0]))]
    return any(
        overlap(shape[0], shape[2], box[0], box[2]) * overlap(shape[1], shape[3], box[1], box[3]) > 20
        for shape in drawn + bars + content.images
    )


def _table(content: Content, box: Box, words: Sequence[Word]) -> Table | None:
    x0, y0, x1, y1 = box
    edges = [Rule(y, low, high) for low, top, high, bottom in content.fills for y in (top, bottom)]
    across = [rule for rule in [*content.horizontal, *edges] if y0 - _TOUCH <= rule.at <= y1 + _TOUCH]
    down = [rule for rule in content.vertical if x0 - _TOUCH <= rule.at <= x1 + _TOUCH]
    lines_y = cuts(across, x0, x1, 0.5)
    lines_x = cuts(down, y0, y1, 0.5)
    grid = make_grid(box, words, lines_y, lines_x)
    if (
        grid is None
        or not _is_table(grid, framed=len(lines_x) > 2)
        or (len(lines_x) <= 2 and _is_drawn_over(content, box))
    ):
        return None
    return Table(union([box, *(word.box for word in words)]), grid)


def _is_table(grid: Grid, framed: bool) -> bool:
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


def _is_plain_table(grid: Grid) -> bool:
    """Say whether words that line up without any rule are a table: nearly every cell filled, mostly by numbers."""
    rows, width = grid.rows, len(grid.rows[0])
    filled = [cell for row in rows for cell in row if cell]
    if len(rows) < 3 or len(filled) < 0.6 * len(rows) * width or mean(map(len, filled)) > _SHORT_CELL:
        return False
    columns = [[row[column] for row in rows[grid.header :] if row[column]] for column in range(1, width)]
    valued = sum(len(cells) >= 2 and sum(map(is_value, cells)) >= 0.7 * len(cells) for cells in columns)
    return valued >= max(1, 0.5 * len(columns)) or (width >= 3 and mean(map(len, filled)) <= 15)


def _with_open_ends(box: Box, words: Sequence[Word]) -> Box:
    """Take in head rows above the first rule, and a last row below the last one."""
    x0, top, x1, bottom = box
    beside = [word for word in words if x0 - 3 <= word.box[0] and word.box[2] <= x1 + 3]
    inside = [word for word in beside if top <= (word.box[1] + word.box[3]) / 2 <= bottom]
    size = height_of(inside)
    if not inside or size <= 0:
        return box
    above = [word for word in beside if top - 8 * size < word.box[3] <= top + 0.4 * size]
    highest, edge = top, top
    for row in reversed(text_rows(above)):
        low, high = max(word.box[3] for word in row), min(word.box[1] for word in row)
        pieces = segments(row, 1.2 * size)
        if edge - low > 1.2 * size or sum(len(word.text) for word in row) > 0.8 * (x1 - x0) / (0.4 * size):
            break
        if len(pieces) >= 2 or pieces[0].x0 > x0 + 0.3 * (x1 - x0):
            highest = high
        elif pieces[0].x1 - pieces[0].x0 > 0.5 * (x1 - x0):
            break
        edge = high
    below = [word for word in beside if bottom - 0.4 * size <= word.box[1] < bottom + 2 * size]
    for row in text_rows(below)[:1]:
        pieces = segments(row, 1.2 * size)
        if (
            len(pieces) >= 2
            and is_value(pieces[-1].words[-1].text)
            and min(w.box[1] for w in row) - bottom < 0.7 * size
        ):
            bottom = max(word.box[3] for word in row)
    return (x0, highest, x1, bottom)


def _grids(content: Content) -> list[Box]:
    """Return the boxes of rules that cross each other."""
    horizontal, vertical = content.horizontal[:_MOST_RULES], content.vertical[:_MOST_RULES]
    if len(vertical) < 2 or len(horizontal) < 2 or len(horizontal) * len(vertical) > 400_000:
        return []
    parent = list(range(len(horizontal) + len(vertical)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for i, across in enumerate(horizontal):
        for j, down in enumerate(vertical):
            if (
                across.low - _TOUCH <= down.at <= across.high + _TOUCH
                and down.low - _TOUCH <= across.at <= down.high + _TOUCH
            ):
                parent[root(i)] = root(len(horizontal) + j)
    groups: dict[int, tuple[list[Rule], list[Rule]]] = {}
    for i, rule in enumerate(horizontal):
        groups.setdefault(root(i), ([], []))[0].append(rule)
    for j, rule in enumerate(vertical):
        groups.setdefault(root(len(horizontal) + j), ([], []))[1].append(rule)
    boxes = []
    for across_, down_ in groups.values():
        if len(across_) < 2 or len(down_) < 2:
            continue
        box = (
            min(rule.low for rule in across_),
            min(rule.low for rule in down_),
            max(rule.high for rule in across_),
            max(rule.high for rule in down_),
        )
        rows = cuts(across_, box[0], box[2], 0.5)
        columns = cuts(down_, box[1], box[3], 0.3)
        if (len(rows) >= 3 and len(columns) >= 2) or (len(rows) >= 2 and len(columns) >= 3):
            boxes.append(box)
    return sorted(boxes, key=area, reverse=True)


def _stacks(content: Content, words: Sequence[Word], captions: Sequence[Box]) -> list[Box]:
    """Return the boxes of rules, and edges of shaded rows, that begin and end at the same places."""
    edges = [Rule(y, x0, x1) for x0, y0, x1, y1 in content.fills for y in (y0, y1)]
    rules = _united([*content.horizontal, *edges][:_MOST_RULES])
    stacks: list[list[Rule]] = []
    for rule in rules:
        for stack in reversed(stacks):
            if abs(stack[-1].low - rule.low) <= _TOUCH + 2 and abs(stack[-1].high - rule.high) <= _TOUCH + 2:
                stack.append(rule)
                break
        else:
            stacks.append([rule])
    boxes: list[Box] = []
    for stack in stacks:
        boxes += _tabular_runs(stack, words, captions)
    return boxes


def _united(rules: Sequence[Rule]) -> list[Rule]:
    """Join the pieces of a line; the result goes from the top down."""
    united: list[Rule] = []
    for rule in sorted(rules, key=lambda rule: (round(rule.at), rule.low)):
        last = united[-1] if united else None
        if last and abs(last.at - rule.at) <= 1.5 and rule.low <= last.high + _TOUCH:
            united[-1] = Rule(last.at, last.low, max(last.high, rule.high))
        else:
            united.append(rule)
    return sorted(united)


def _tabular_runs(stack: Sequence[Rule], words: Sequence[Word], captions: Sequence[Box]) -> list[Box]:
    """Return the longest pieces of a stack of rules with columns of words, not prose, in every band."""
    if len(stack) < 2:
        return []
    low, high = stack[0].low, stack[0].high
    inside = sorted(
        (word for word in words if low - 2 <= (word.box[0] + word.box[2]) / 2 <= high + 2), key=lambda word: word.box[1]
    )
    heads = [y0 for x0, y0, x1, _ in captions if overlap(x0, x1, low, high) > 0]
    kinds = [
        "prose"
        if any(top.at - 1 <= y <= bottom.at for y in heads)
        else _band_kind(top.at, bottom.at, inside, high - low)
        for top, bottom in pairwise(stack)
    ]
    boxes: list[Box] = []
    start: int | None = None
    for number, kind in enumerate([*kinds, "prose"]):
        if kind == "prose":
            if start is not None:
                end = number
                while end > start and kinds[end - 1] != "columns":
                    end -= 1
                while start < end and kinds[start] != "columns":
                    start += 1
                if end > start:
                    top, bottom = stack[start], stack[end]
                    boxes.append((min(top.low, bottom.low), top.at, max(top.high, bottom.high), bottom.at))
            start = None
        elif start is None:
            start = number
    return boxes


def _band_kind(top: float, bottom: float, words: Sequence[Word], width: float) -> str:
    inside = [word for word in words if top - 1 <= (word.box[1] + word.box[3]) / 2 <= bottom + 1]
    if not inside:
        return "blank" if bottom - top < 40 else "prose"
    size = height_of(inside)
    lines = text_rows(inside)
    tops = [min(word.box[1] for word in row) for row in lines]
    if any(low - high > 4.5 * size for high, low in zip([top, *tops], [*tops, bottom], strict=True)):
        return "prose"
    rows = [segments(row, 0.8 * size) for row in lines]
    wide = sum(len(row) >= 2 for row in rows)
    full = sum(len(row) == 1 and row[0].x1 - row[0].x0 > 0.75 * width for row in rows)
    if full >= 3 and full > 0.4 * len(rows):
        return "prose"
    pieces = [sum(len(word.text) + 1 for word in piece.words) for row in rows for piece in row]
    if len(rows) >= 4 and mean(pieces) > _PROSE and max(map(len, rows)) <= 3:
        return "prose"
    if wide and (wide >= 0.3 * len(rows) or len(rows) <= 4):
        return "columns"
    if len(rows) <= 4 and len(segments(sorted(inside, key=lambda word: word.box[0]), size)) >= 2:
        # The label stands at half the height of the lines beside it.
        return "columns"
    return "label" if len(rows) <= 2 else "prose"


def _unruled(words: Sequence[Word]) -> list[Table]:
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
    if grid is None or not _is_table(grid, framed=False) or not _is_plain_table(grid):
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
