"""What stands on a page: lines of text, words, rules, filled areas, pictures and drawn shapes, the right way up."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ragkit.documents.document import Box

_HAIR = 2.5
_SHORTEST_RULE = 8.0
_BOLD_FLAG = 16
_BOLD_NAMES = ("bold", "black", "heavy", "demi")
_MOST_SHAPES = 20_000
_MOST_PIECES = 100
_LARGEST_COORDINATE = 1e6


class Line(NamedTuple):
    """A line of text as the PDF holds it; `size` is that of most of its letters, in points.

    `upright` is False for text that runs across the page's reading direction, as in the label of an axis.
    """

    box: Box
    text: str
    size: float
    bold: bool
    block: int
    upright: bool = True
    starts_bold: bool = False


class Word(NamedTuple):
    """A word, the line of text that the PDF holds it in, and whether that line is bold."""

    box: Box
    text: str
    line: tuple[int, int]
    bold: bool = False


class Rule(NamedTuple):
    """A straight line along an axis: `at` is its height (or its x), from `low` to `high`."""

    at: float
    low: float
    high: float


@dataclass(slots=True)
class Content:
    """What stands on a page, in points from the upper left corner, with the text running from left to right.

    Attributes:
        width, height: of the page as it is read.
        lines: in the order of the PDF.
        words: filled where tables are looked for.
        horizontal, vertical: drawn lines and thin bars.
        fills: filled areas, without those as large as the page.
        images: pictures.
        shapes: boxes of everything that is drawn, and whether it is more than straight lines and rectangles.
        turn: clockwise quarter turns that bring the unrotated page into this position.
    """

    width: float
    height: float
    turn: int = 0
    lines: list[Line] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    horizontal: list[Rule] = field(default_factory=list)
    vertical: list[Rule] = field(default_factory=list)
    fills: list[Box] = field(default_factory=list)
    images: list[Box] = field(default_factory=list)
    shapes: list[tuple[Box, bool]] = field(default_factory=list)


def turned(box: Box, turn: int, width: float, height: float) -> Box:
    """Return a box of a page of this width and height after clockwise quarter turns of the page."""
    x0, y0, x1, y1 = box
    match turn % 4:
        case 1:
            return (height - y1, x0, height - y0, x1)
        case 2:
            return (width - x1, height - y1, width - x0, height - y0)
        case 3:
            return (y0, width - x1, y1, width - x0)
        case _:
            return box


def read_content(pymupdf: Any, page: Any, textpage: Any = None, tables: bool = True, graphics: bool = True) -> Content:
    """Read a page.

    Args:
        pymupdf: the module.
        page: of PyMuPDF.
        textpage: the page's text where it comes from elsewhere than the page (OCR).
        tables: whether words and rules are needed.
        graphics: whether pictures and drawn shapes are needed.
    """
    flags = pymupdf.TEXTFLAGS_DICT & ~pymupdf.TEXT_PRESERVE_IMAGES
    textpage = textpage or page.get_textpage(flags=flags)
    blocks = page.get_text("dict", textpage=textpage, flags=flags)["blocks"]
    cropped = page.cropbox
    width, height = float(cropped.width), float(cropped.height)
    turn = _turn(blocks, page.rotation)
    content = Content(*((height, width) if turn % 2 else (width, height)), turn)
    content.lines = [_turned_line(line, turn, width, height) for line in _lines(blocks, turn)]
    if tables and content.lines:
        styles = {
            (number, place): (_turn_of(line["dir"]) == turn, all(_is_bold(span) for span in line["spans"]))
            for number, block in enumerate(blocks)
            for place, line in enumerate(block.get("lines", ()))
        }
        for x0, y0, x1, y1, text, block, line, _ in page.get_text("words", textpage=textpage, flags=flags):
            upright, bold = styles.get((block, line), (True, False))
            if upright and _is_sane((x0, y0, x1, y1)):
                content.words.append(Word(turned((x0, y0, x1, y1), turn, width, height), text, (block, line), bold))
    if tables or graphics:
        _add_drawings(content, page.get_cdrawings(), turn, width, height)
    if graphics:
        for image in page.get_image_info():
            if _is_sane(image["bbox"]):
                content.images.append(_within(turned(image["bbox"], turn, width, height), content))
        content.images = [box for box in content.images if box[2] - box[0] > 1 and box[3] - box[1] > 1]
    return content


def _turn(blocks: list[dict[str, Any]], rotation: int) -> int:
    """Return the quarter turns that make most of the text run from left to right."""
    turns: Counter[int] = Counter()
    for block in blocks:
        for line in block.get("lines", ()):
            turns[_turn_of(line["dir"])] += sum(len(span["text"]) for span in line["spans"])
    return turns.most_common(1)[0][0] if turns else rotation // 90 % 4


def _turn_of(direction: tuple[float, float]) -> int:
    x, y = direction
    if abs(x) >= abs(y):
        return 0 if x >= 0 else 2
    return 1 if y < 0 else 3


def _lines(blocks: list[dict[str, Any]], turn: int) -> Iterator[Line]:
    for number, block in enumerate(blocks):
        for line in block.get("lines", ()):
            spans = line["spans"]
            text = "".join(span["text"] for span in spans)
            if not text.strip() or not _is_sane(line["bbox"]):
                continue
            letters = bold = 0
            starts_bold = False
            size, most = 0.0, 0
            for span in spans:
                count = len(span["text"].strip())
                letters += count
                if _is_bold(span):
                    starts_bold |= letters == count
                    bold += count
                if count > most:
                    size, most = span["size"], count
            straight = max(map(abs, line["dir"])) > 0.98 and _turn_of(line["dir"]) == turn
            yield Line(line["bbox"], text, round(size, 1), bold >= 0.97 * letters, number, straight, starts_bold)


def _is_bold(span: dict[str, Any]) -> bool:
    return bool(span["flags"] & _BOLD_FLAG) or any(name in span["font"].lower() for name in _BOLD_NAMES)


def _turned_line(line: Line, turn: int, width: float, height: float) -> Line:
    return line._replace(box=turned(line.box, turn, width, height)) if turn else line


def _is_sane(box: Sequence[float]) -> bool:
    """Say whether a box of a hostile or broken file can be calculated with; not a number compares false."""
    x0, y0, x1, y1 = box
    return (
        -_LARGEST_COORDINATE < x0 < _LARGEST_COORDINATE
        and -_LARGEST_COORDINATE < y0 < _LARGEST_COORDINATE
        and -_LARGEST_COORDINATE < x1 < _LARGEST_COORDINATE
        and -_LARGEST_COORDINATE < y1 < _LARGEST_COORDINATE
    )


def _within(box: Box, content: Content) -> Box:
    x0, y0, x1, y1 = box
    return (max(0.0, x0), max(0.0, y0), min(content.width, x1), min(content.height, y1))


def _add_drawings(content: Content, drawings: list[dict[str, Any]], turn: int, width: float, height: float) -> None:
    for path in drawings[:_MOST_SHAPES]:
        box = path.get("rect")
        if box is None or not _is_sane(box):
            continue
        items = path["items"]
        fill = path.get("fill") if "f" in path["type"] else None
        stroked = "s" in path["type"]
        curved = any(item[0] in "cq" and len(item[0]) == 1 for item in items) or _is_slanted(items)
        whole = _within(turned(box, turn, width, height), content)
        if whole[2] < whole[0] or whole[3] < whole[1]:
            continue
        if not curved:
            for item in items[:_MOST_SHAPES]:
                _add_straight(content, item, fill, stroked, turn, width, height)
        covers = (whole[2] - whole[0]) * (whole[3] - whole[1]) > 0.9 * content.width * content.height
        if covers or (fill is not None and not stroked and min(fill, default=0) > 0.99):
            continue
        # The bars of a chart are often rectangles of one path.
        pieces = [item[1] for item in items if item[0] == "re" and _is_sane(item[1])]
        if 1 < len(pieces) == len(items) <= _MOST_PIECES:
            content.shapes += [(_within(turned(piece, turn, width, height), content), False) for piece in pieces]
        else:
            content.shapes.append((whole, curved))


def _is_slanted(items: list[tuple[Any, ...]]) -> bool:
    return any(item[0] == "l" and min(abs(item[1][0] - item[2][0]), abs(item[1][1] - item[2][1])) > 1 for item in items)


def _add_straight(
    content: Content, item: tuple[Any, ...], fill: Any, stroked: bool, turn: int, width: float, height: float
) -> None:
    match item[0]:
        case "l":
            (ax, ay), (bx, by) = item[1], item[2]
            box = (min(ax, bx), min(ay, by), max(ax, bx), max(ay, by))
        case "re":
            box = tuple(item[1])
        case "qu":
            xs, ys = [point[0] for point in item[1]], [point[1] for point in item[1]]
            box = (min(xs), min(ys), max(xs), max(ys))
        case _:
            return
    if not _is_sane(box):
        return
    x0, y0, x1, y1 = turned(box, turn, width, height)
    wide, tall = x1 - x0, y1 - y0
    if tall <= _HAIR and wide >= _SHORTEST_RULE:
        content.horizontal.append(Rule((y0 + y1) / 2, x0, x1))
    elif wide <= _HAIR and tall >= _SHORTEST_RULE / 2:
        content.vertical.append(Rule((x0 + x1) / 2, y0, y1))
    elif item[0] != "l":
        if stroked:
            content.horizontal += [Rule(y0, x0, x1), Rule(y1, x0, x1)]
            content.vertical += [Rule(x0, y0, y1), Rule(x1, y0, y1)]
        if fill is not None and wide * tall < 0.9 * content.width * content.height:
            content.fills.append((x0, y0, x1, y1))
