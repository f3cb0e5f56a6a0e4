"""Paragraphs: the lines of text that belong together."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ragkit.documents.document import Box
from ragkit.documents.pdf.content import Line
from ragkit.documents.pdf.geometry import overlap, union


class Paragraph(NamedTuple):
    """Lines that belong together, in one style; `text` has a line end after each."""

    box: Box
    text: str
    size: float
    bold: bool
    lines: int
    upright: bool = True


def paragraphs(lines: Sequence[Line]) -> list[Paragraph]:
    """Return the paragraphs of a page: the blocks of the PDF, parted where the style changes.

    Pieces of a line that a PDF holds apart (a number and its heading) become one line again, and so do blocks of a
    line each that stand below each other like the lines of a paragraph.
    """
    found: list[list[Line]] = []
    for line in _whole_lines(lines):
        if found and _belongs(found[-1], line):
            found[-1].append(line)
        else:
            found.append([line])
    return [
        Paragraph(
            union([line.box for line in group]),
            "\n".join(line.text.strip() for line in group),
            max(group, key=lambda line: len(line.text)).size,
            all(line.bold for line in group),
            len(group),
            group[0].upright,
        )
        for group in found
    ]


def _whole_lines(lines: Iterable[Line]) -> list[Line]:
    whole: list[Line] = []
    for line in lines:
        last = whole[-1] if whole else None
        if last is not None and last.upright and line.upright and _is_beside(last, line):
            longer = max(last, line, key=lambda part: len(part.text))
            text = f"{last.text.rstrip()} {line.text.lstrip()}"
            whole[-1] = Line(
                union([last.box, line.box]),
                text,
                longer.size,
                last.bold and line.bold,
                last.block,
                True,
                last.starts_bold,
            )
        else:
            whole.append(line)
    return whole


def _is_beside(left: Line, right: Line) -> bool:
    height = min(left.box[3] - left.box[1], right.box[3] - right.box[1])
    if overlap(left.box[1], left.box[3], right.box[1], right.box[3]) < 0.6 * height:
        return False
    gap = right.box[0] - left.box[2]
    return gap > -2 and (left.block == right.block or gap < 0.6 * left.size)


def _belongs(group: Sequence[Line], line: Line) -> bool:
    last = group[-1]
    if last.upright != line.upright:
        return False
    same = abs(last.size - line.size) <= max(0.6, 0.08 * last.size) and last.bold == line.bold
    if last.block == line.block:
        # A style may change within a paragraph (a bold word alone on a line), but not at a heading: that is a line
        # by itself, and shorter than the paragraph is wide.
        if abs(last.size - line.size) < 0.6 and line.starts_bold and last.bold:
            return True
        return same or (not _is_heading_like(group, line) and not line.bold)
    gap = line.box[1] - last.box[3]
    return (
        same
        and last.upright
        and -0.3 * line.size < gap < 0.45 * line.size
        and abs(line.box[0] - group[0 if len(group) == 1 else 1].box[0]) < 2
        and last.box[2] - last.box[0] > 20 * last.size * 0.5
        and not last.text.rstrip().endswith((".", ":", "?", "!"))
    )


def _is_heading_like(group: Sequence[Line], line: Line) -> bool:
    return all(part.bold for part in group) or group[-1].size > line.size * 1.08 or line.size > group[-1].size * 1.08
