"""Captions: the paragraphs that begin with `Table 3` or `Figure 2`, and what they belong to."""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from ragkit.documents.document import Box
from ragkit.documents.pdf.content import Line
from ragkit.documents.pdf.geometry import overlap, union

_NUMBER = r"(?:[A-Z]{0,2}[.\-]?\d+(?:[.\-–]\d+)*[a-z]?|[IVXL]+\b|[A-Z]\b)"
_TABLE = re.compile(rf"(?:table|tab\.|tabelle|tableau|tabla|tabela|tabella)\s+{_NUMBER}", re.IGNORECASE)
_FIGURE = re.compile(
    rf"(?:figure|fig\.?|abbildung|abb\.|figura|chart|graph|exhibit|plate|diagram|photo|map)\s+{_NUMBER}", re.IGNORECASE
)
# A sentence of the text that begins with `Figure 2 shows` is no caption.
_SENTENCE = re.compile(
    r"\s+(?:and|or|to|shows?|gives?|lists?|presents?|summari[sz]es|illustrates?|is|are|below|above)\b"
)
_FARTHEST = 60.0
_MOST_LINES = 12

CaptionKind = Literal["table", "figure"]


class Caption(NamedTuple):
    """A caption and the lines that it is made of."""

    kind: CaptionKind
    box: Box
    lines: tuple[int, ...]


def label(caption: str) -> str:
    """Return what a caption numbers its table or figure with: `Table 3`, `Figure 2.1`; '' if it does not."""
    match = _TABLE.match(caption) or _FIGURE.match(caption)
    return " ".join(match.group().split()).rstrip(".") if match else ""


def find_captions(lines: Sequence[Line]) -> list[Caption]:
    """Return the captions among the lines of a page; `lines` of a caption are positions in the argument."""
    found: list[Caption] = []
    for number, line in enumerate(lines):
        kind = _kind(line.text.strip())
        if kind is None or not line.upright or _goes_on(lines, number):
            continue
        members = [number]
        for following in range(number + 1, min(len(lines), number + _MOST_LINES)):
            other = lines[following]
            if _kind(other.text.strip()) or not _is_next(lines[members[-1]], other):
                break
            members.append(following)
        found.append(Caption(kind, union([lines[member].box for member in members]), tuple(members)))
    return found


def _is_next(line: Line, other: Line) -> bool:
    """Say whether a line goes on with a caption: in its block, or right below it in the same size."""
    if abs(other.size - line.size) > 0.6:
        return False
    if other.block == line.block:
        return True
    aligned = abs(other.box[0] - line.box[0]) < 3 or abs(sum(other.box[::2]) - sum(line.box[::2])) < 12
    return aligned and not other.bold and -line.size < other.box[1] - line.box[3] < 0.35 * line.size


def _kind(text: str) -> CaptionKind | None:
    for kind, pattern in (("table", _TABLE), ("figure", _FIGURE)):
        match = pattern.match(text)
        if match and not _SENTENCE.match(text, match.end()) and text[0].isupper():
            return "table" if kind == "table" else "figure"
    return None


def _goes_on(lines: Sequence[Line], number: int) -> bool:
    """Say whether a line stands in the middle of a paragraph."""
    if number == 0:
        return False
    above, line = lines[number - 1], lines[number]
    return (
        above.block == line.block
        and abs(above.size - line.size) < 0.6
        and line.box[1] - above.box[3] < 0.5 * line.size
        and above.box[2] >= line.box[2] - line.size
        and not above.text.rstrip().endswith((".", ":"))
    )


def nearest(box: Box, captions: Sequence[Caption], kinds: Sequence[CaptionKind]) -> Caption | None:
    """Return the caption right above or below a table or figure."""
    best: tuple[float, Caption] | None = None
    for caption in captions:
        if caption.kind not in kinds:
            continue
        narrow = min(caption.box[2] - caption.box[0], box[2] - box[0])
        if overlap(caption.box[0], caption.box[2], box[0], box[2]) < 0.5 * narrow:
            continue
        distance = max(box[1] - caption.box[3], caption.box[1] - box[3])
        # Equally near, the caption of a table stands above it and that of a figure below.
        usual = caption.box[1] < box[1] if caption.kind == "table" else caption.box[1] > box[1]
        rank = max(distance, 0.0) + (0.0 if usual else 8.0)
        if distance <= _FARTHEST and (best is None or rank < best[0]):
            best = (rank, caption)
    return best[1] if best else None
