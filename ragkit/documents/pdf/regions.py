"""Where rules and shaded rows suggest a table."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import mean, median

from ragkit.documents.document import Box
from ragkit.documents.pdf.columns import cuts
from ragkit.documents.pdf.content import Content, Rule, Word
from ragkit.documents.pdf.geometry import area, overlap, union
from ragkit.documents.pdf.rows import height_of, is_value, segments, text_rows

_TOUCH = 3.0
_MOST_RULES = 3000
_PROSE = 30
_LONG_CELL = 60
_LONE_LINE = 40


def with_open_ends(box: Box, words: Sequence[Word]) -> Box:
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


def ruled_boxes(content: Content) -> list[Box]:
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


def stacked_boxes(content: Content, words: Sequence[Word], captions: Sequence[Box]) -> list[Box]:
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
    heads = [y0 for x0, y0, x1, _ in captions if overlap(x0, x1, low, high) > 0] + _lone_lines(inside)
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


def _lone_lines(words: Sequence[Word]) -> list[float]:
    """Return the tops of lines of text that stand by themselves, with more space around them than rows have."""
    if not words:
        return []
    size = height_of(words)
    rows = text_rows(words)
    tops = [min(word.box[1] for word in row) for row in rows]
    pitches = [below - above for above, below in pairwise(tops)]
    wide = 1.3 * median(pitches) if pitches else 0.0
    return [
        top
        for row, top, above, below in zip(rows[1:], tops[1:], pitches, pitches[1:], strict=False)
        if above > wide
        and below > wide
        and sum(len(word.text) + 1 for word in row) > _LONE_LINE
        and len(segments(row, 0.8 * size)) == 1
    ]


def _band_kind(top: float, bottom: float, words: Sequence[Word], width: float) -> str:
    inside = [word for word in words if top - 1 <= (word.box[1] + word.box[3]) / 2 <= bottom + 1]
    if not inside:
        return "blank" if bottom - top < 40 else "prose"
    size = height_of(inside)
    lines = text_rows(inside)
    tops = [min(word.box[1] for word in row) for row in lines]
    if any(low - high > 3.5 * size for high, low in zip([top, *tops], [*tops, bottom], strict=True)):
        return "prose"
    rows = [segments(row, 0.8 * size) for row in lines]
    wide = sum(len(row) >= 2 for row in rows)
    full = sum(len(row) == 1 and row[0].x1 - row[0].x0 > 0.75 * width for row in rows)
    if full >= 3 and full > 0.4 * len(rows):
        return "prose"
    lone = [sum(len(word.text) + 1 for word in row[0].words) for row in rows if len(row) == 1]
    if len(rows) >= 4 and 2 <= len(lone) >= 0.3 * len(rows) and max(lone) > _LONG_CELL:
        # A paragraph between two tables, with the head of the lower one.
        return "prose"
    pieces = [sum(len(word.text) + 1 for word in piece.words) for row in rows for piece in row]
    if len(rows) >= 4 and mean(pieces) > _PROSE and max(map(len, rows)) <= 3:
        return "prose"
    if wide and (wide >= 0.3 * len(rows) or len(rows) <= 4):
        return "columns"
    if len(rows) <= 4 and _stand_beside(inside, size):
        return "columns"
    return "label" if len(rows) <= 2 else "prose"


def _stand_beside(words: Sequence[Word], size: float) -> bool:
    """Say whether words form columns although no two share a line: a label at half the height of the lines beside."""
    pieces = segments(sorted(words, key=lambda word: word.box[0]), size)
    extents = [union([word.box for word in piece.words]) for piece in pieces]
    return any(overlap(a[1], a[3], b[1], b[3]) > 0 for a, b in pairwise(extents))
