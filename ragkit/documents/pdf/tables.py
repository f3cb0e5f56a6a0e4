"""Tables of a page: found by their rules, their shaded rows or, where neither is drawn, by how their words line up.

PyMuPDF's `find_tables` is not used: it takes hundreds of times as long as reading the text, and what it finds depends
on whether a layout model was activated somewhere in the process.
"""

from collections.abc import Sequence

from ragkit.documents.document import Box
from ragkit.documents.pdf.captions import Caption, nearest
from ragkit.documents.pdf.columns import cuts
from ragkit.documents.pdf.content import Content, Rule, Word
from ragkit.documents.pdf.geometry import area, contains, grown, overlap, share_inside, union
from ragkit.documents.pdf.grid import Grid, make_grid
from ragkit.documents.pdf.judging import is_table
from ragkit.documents.pdf.regions import ruled_boxes, stacked_boxes, with_open_ends
from ragkit.documents.pdf.unruled import Table, unruled_tables

_TOUCH = 3.0


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
    stacks = [with_open_ends(box, words) for box in stacked_boxes(content, words, captions)]
    for box in ruled_boxes(content) + sorted(stacks, key=area, reverse=True):
        if any(share_inside(box, image) > 0.6 for image in pictures) or any(
            share_inside(box, table.box) > 0.5 or share_inside(table.box, box) > 0.5 for table in found
        ):
            continue
        inside = [word for word in words if contains(grown(box, 1), word.box)]
        table = _table(content, box, inside) if len(inside) >= 4 else None
        if table and not _is_figure(content, table.box, found_captions):
            found.append(table)
    rest = [word for word in words if not any(contains(table.box, word.box) for table in found)]
    found += [table for table in unruled_tables(rest) if not _is_drawn_over(content, table.box)]
    return _continued(found, words)


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
    grid = make_grid(box, words, lines_y, lines_x, across)
    if (
        grid is None
        or not is_table(grid, framed=len(lines_x) > 2)
        or (len(lines_x) <= 2 and _is_drawn_over(content, box))
    ):
        return None
    return Table(union([box, *(word.box for word in words)]), grid)


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
