"""Figures of a page: pictures and clusters of drawn shapes."""

from collections import Counter
from collections.abc import Sequence

from ragkit.documents.document import Box
from ragkit.documents.pdf.captions import Caption, nearest
from ragkit.documents.pdf.content import Content, Line
from ragkit.documents.pdf.geometry import area, contains, grown, merged_where, share_inside, touch, union

_CELL = 6.0
_GAP = 8.0
_PANEL_GAP = 40.0
_LEAST_WIDTH, _LEAST_HEIGHT = 36.0, 28.0
_LEAST_SHARE = 0.01
_LABEL = 40
_MOST_CELLS = 60_000


def find_figures(content: Content, tables: Sequence[Box], captions: Sequence[Caption]) -> list[Box]:
    """Return the boxes of the figures of a page, with the words around a drawing that label it.

    Args:
        content: with graphics.
        tables: boxes that are no figures.
        captions: of the page; lines of them are never part of a figure.
    """
    page = content.width * content.height
    images = [box for box in content.images if area(box) < 0.85 * page]
    shapes = [
        (box, curved) for box, curved in content.shapes if not any(share_inside(box, grown(t, 3)) > 0.6 for t in tables)
    ]
    drawings = [box for box in _clusters(content, shapes) if not _holds_prose(box, content.lines)]
    boxes = merged_where([*images, *drawings], _GAP)
    boxes = [box for box in boxes if not any(share_inside(box, table) > 0.6 for table in tables)]
    taken = [caption.box for caption in captions] + list(tables)
    boxes = merged_where([_with_labels(box, content.lines, taken) for box in boxes], 1.0)
    boxes = _of_one_caption(boxes, captions, content.lines, tables)
    return [
        box
        for box in boxes
        if box[2] - box[0] >= _LEAST_WIDTH
        and box[3] - box[1] >= _LEAST_HEIGHT
        and (area(box) >= _LEAST_SHARE * page or nearest(box, captions, ("figure",)))
    ]


def _clusters(content: Content, shapes: Sequence[tuple[Box, bool]]) -> list[Box]:
    """Return the boxes of shapes that lie close together, of those clusters that are drawings and not just rules."""
    columns = int(content.width / _CELL) + 1
    rows = int(content.height / _CELL) + 1
    if columns * rows > _MOST_CELLS or not shapes:
        return []
    cells: dict[tuple[int, int], list[int]] = {}
    for number, ((x0, y0, x1, y1), _) in enumerate(shapes):
        left, right = int(x0 / _CELL), int(x1 / _CELL)
        top, bottom = int(y0 / _CELL), int(y1 / _CELL)
        # The edge of a large area is enough to join what touches it.
        for column in range(left, right + 1):
            for row in {top, bottom}:
                cells.setdefault((column, row), []).append(number)
        for row in range(top + 1, bottom):
            for column in {left, right}:
                cells.setdefault((column, row), []).append(number)
    boxes: list[Box] = []
    left_over = set(cells)
    while left_over:
        stack, members = [left_over.pop()], set()
        while stack:
            column, row = stack.pop()
            members.update(cells[column, row])
            for near in ((column + i, row + j) for i in (-1, 0, 1) for j in (-1, 0, 1)):
                if near in left_over:
                    left_over.discard(near)
                    stack.append(near)
        cluster = [shapes[number] for number in members]
        if _is_drawing(cluster):
            boxes.append(union([box for box, _ in cluster]))
    return boxes


def _is_drawing(cluster: Sequence[tuple[Box, bool]]) -> bool:
    """Tell a drawing from underlines, frames and shaded boxes."""
    curved = sum(is_curved for _, is_curved in cluster)
    solid = sum(min(box[2] - box[0], box[3] - box[1]) > 3 for box, _ in cluster)
    box = union([box for box, _ in cluster])
    if box[3] - box[1] < 20 or box[2] - box[0] < 20:
        return False
    return (
        curved >= 3 or (curved >= 1 and len(cluster) >= 4) or (solid >= 3 and len(cluster) >= 6) or _are_bars(cluster)
    )


def _are_bars(cluster: Sequence[tuple[Box, bool]]) -> bool:
    """Say whether at least three areas start from one line and are of different lengths."""
    solid = [box for box, _ in cluster if min(box[2] - box[0], box[3] - box[1]) > 3]
    for base, length, breadth in ((3, 1, 0), (0, 0, 1)):
        starts = Counter(round(box[base]) for box in solid)
        start, count = starts.most_common(1)[0] if starts else (0, 0)
        bars = [box for box in solid if round(box[base]) == start]
        lengths = {round(box[length + 2] - box[length]) for box in bars}
        breadths = {round(box[breadth + 2] - box[breadth]) for box in bars}
        if count >= 3 and len(lengths) >= 3 and len(breadths) <= 2:
            return True
    return False


def _holds_prose(box: Box, lines: Sequence[Line]) -> bool:
    """Say whether a shaded or framed box is filled with running text rather than with a drawing."""
    inside = [line for line in lines if line.upright and contains(box, line.box)]
    wide = [line for line in inside if line.box[2] - line.box[0] > 0.7 * (box[2] - box[0]) and len(line.text) > _LABEL]
    return len(wide) >= 3 and sum(area(line.box) for line in inside) > 0.35 * area(box)


def _with_labels(box: Box, lines: Sequence[Line], taken: Sequence[Box]) -> Box:
    """Take in the short texts at the edges of a drawing, such as the labels of axes."""
    grown_box = box
    for line in lines:
        if len(line.text.strip()) > _LABEL or any(contains(other, line.box) for other in taken):
            continue
        reach = 4.0 if line.upright else 12.0
        if touch(grown(box, reach), line.box) and not _is_sentence(line):
            grown_box = union([grown_box, line.box])
    limit = grown(box, 30)
    return (
        max(limit[0], grown_box[0]),
        max(limit[1], grown_box[1]),
        min(limit[2], grown_box[2]),
        min(limit[3], grown_box[3]),
    )


def _is_sentence(line: Line) -> bool:
    return len(line.text.split()) > 4 or line.text.rstrip().endswith((".", ",", ";"))


def _of_one_caption(
    boxes: list[Box], captions: Sequence[Caption], lines: Sequence[Line], tables: Sequence[Box]
) -> list[Box]:
    """Unite the panels that share a caption: those near it, and further ones with no running text between."""
    result = list(boxes)
    texts = [line.box for line in lines if len(line.text.strip()) > _LABEL] + list(tables)
    for caption in captions:
        if caption.kind != "figure":
            continue
        panels = [box for box in result if nearest(box, captions, ("figure",)) == caption]
        if not panels:
            continue
        while more := [
            box
            for box in result
            if box not in panels
            and touch(grown(union(panels), _PANEL_GAP), box)
            and nearest(box, captions, ("figure",)) in (None, caption)
            and not any(_lies_in_new(text, union(panels), box) for text in [*texts, *(c.box for c in captions)])
        ]:
            panels += more
        if len(panels) > 1:
            result = [box for box in result if box not in panels] + [union(panels)]
    return result


def _lies_in_new(text: Box, box: Box, other: Box) -> bool:
    """Say whether a text would come into a figure that unites two boxes, and is in neither."""
    return contains(union([box, other]), text) and not contains(box, text) and not contains(other, text)
