"""The blocks of a document: what is decided with the whole of it in view."""

from collections import Counter
from collections.abc import Iterator, Sequence

from ragkit.documents.document import Block, BlockKind, Box
from ragkit.documents.layout import reading_order
from ragkit.documents.pdf.headings import Headings, Outline
from ragkit.documents.pdf.markdown import as_markdown
from ragkit.documents.pdf.page import FigurePart, PageParts
from ragkit.documents.pdf.paragraphs import paragraphs
from ragkit.documents.pdf.running import drop_running
from ragkit.documents.pdf.settings import PdfSettings
from ragkit.documents.pdf.text import Mender, normalised

_LOGO_PAGES = 3


def blocks_of(
    parts: Sequence[PageParts], settings: PdfSettings, outline: Outline
) -> Iterator[tuple[PageParts, tuple[Block, ...]]]:
    """Return the pages of a document, each with its blocks in reading order.

    Which lines run through all pages, which text is larger than most of it, and which words are written with a
    hyphen, only the whole document tells. Pictures without any word give no block.
    """
    if settings.drop_running:
        drop_running(parts)
        _drop_logos(parts)
    texts = [(page.number, paragraphs(page.lines)) for page in parts]
    headings = Headings(texts, outline) if settings.headings else None
    if headings:
        texts = [(number, headings.joined(number, found)) for number, found in texts]
    clean = [[normalised(paragraph.text) for paragraph in found] for _, found in texts]
    mender = Mender(text for page in clean for text in page)
    for page, (number, found), cleaned in zip(parts, texts, clean, strict=True):
        placed: list[tuple[Box, Block]] = []
        for paragraph, text in zip(found, cleaned, strict=True):
            level = headings.level(number, paragraph) if headings else 0
            mended = mender.line(text) if level else mender.paragraph(text)
            if mended:
                kind: BlockKind = "heading" if level else "text"
                placed.append((paragraph.box, Block(mended, page.shown(paragraph.box), kind, level)))
        for table in page.tables:
            rows = [[normalised(cell) for cell in row] for row in table.rows]
            text = "\n".join(
                part
                for part in (mender.line(normalised(table.caption)), as_markdown(rows, table.header, mender.line))
                if part
            )
            placed.append((table.whole, Block(text, page.shown(table.whole), "table")))
        for figure in page.figures:
            caption, words = mender.line(normalised(figure.caption)), normalised(figure.words)
            if text := "\n".join(part for part in (caption, words) if part):
                placed.append((figure.whole, Block(text, page.shown(figure.whole), "figure")))
        yield page, tuple(reading_order(placed))


def _drop_logos(parts: Sequence[PageParts]) -> None:
    """Take out logos and ornaments: figures without a caption at the same place of several pages."""
    places = Counter(_place(figure) for page in parts for figure in page.figures)
    for page in parts:
        page.figures = [f for f in page.figures if f.caption or places[_place(f)] < _LOGO_PAGES]


def _place(figure: FigurePart) -> tuple[int, ...]:
    return tuple(round(value / 3) for value in figure.box)
