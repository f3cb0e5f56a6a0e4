"""Read a PDF as pages: what `ragkit.documents.pdf` finds on each, with the tables and figures as objects."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ragkit.documents.chunking.parts import Part, Piece, place, texts
from ragkit.documents.detector import detected, detector_of
from ragkit.documents.document import ChunkedDocument, IngestReport, SourceDocument, SourceFile, Unreadable
from ragkit.documents.document import Page as TextPage
from ragkit.documents.images import page_image
from ragkit.documents.page_settings import PageSettings
from ragkit.documents.pages import Page, PageDocument, PageObject
from ragkit.documents.pdf.blocks import blocks_of
from ragkit.documents.pdf.captions import label
from ragkit.documents.pdf.opening import opened
from ragkit.documents.pdf.page import FigurePart, PageParts, TablePart
from ragkit.documents.pdf.pages import page_parts, plain_pages
from ragkit.documents.pdf.read import outline_of
from ragkit.documents.pdf.settings import PdfSettings
from ragkit.documents.pdf.text import normalised
from ragkit.engine.state import Passage
from ragkit.errors import need

_LEAST_SIDE = 2.0  # in points; what is smaller cannot be shown


class PagesRead(NamedTuple):
    """A document, and of each page the headings that its text stands under."""

    document: PageDocument
    sections: tuple[tuple[str, ...], ...]


def read_pages(
    file: SourceFile, report: IngestReport, pdf: PdfSettings | None = None, settings: PageSettings | None = None
) -> PagesRead:
    """Read a PDF as pages, those without text too; a damaged page is noted in the report and left out.

    Args:
        file: the PDF and the id of the document in it.
        report: what was counted and left out.
        pdf: what is read; without tables, figures, headings and running lines pages hold plain text and no objects.
        settings: how pages are kept.

    Raises:
        Unreadable: the file is damaged, encrypted, no PDF, or has no page that can be read.
        MissingPackageError: PyMuPDF is not installed.
    """
    pdf, settings = pdf or PdfSettings(), settings or PageSettings()
    pymupdf = need("pymupdf", "pymupdf", "reading PDF files")
    with opened(file.path) as opened_pdf:
        title = " ".join(normalised((opened_pdf.metadata or {}).get("title") or "").split())
        read = _plain(pymupdf, opened_pdf, file, report, pdf) if pdf.plain else _taken_apart(
            pymupdf, opened_pdf, file, report, pdf
        )  # fmt: skip
    if not read:
        raise Unreadable("it has no page that can be read")
    whole = SourceDocument(file.id, tuple(text for text, *_ in read))
    pages, sections = [], []
    for (text_page, (text, parts)), (_, size, found) in zip(texts(whole), read, strict=True):
        number = text_page.number or 0
        pages.append(Page(file.id, number, *size, text, tuple(_objects(f"{file.id}#p{number}", parts, found))))
        about = place(text_page, parts, Piece(0, len(text), text)) if text else {}
        sections.append(tuple(about.get("section", ())))
        if not text:
            report.no_text(file.id, number)
    if settings.detector is not None:
        pages = [_seen(page, file.path, settings.dpi, settings.detector) for page in pages]
    document = PageDocument(file.id, file.path, tuple(pages), title, settings.dpi)
    return PagesRead(document, tuple(sections))


def _seen(page: Page, path: Path, dpi: int, detector: str) -> Page:
    """Return a page with the objects that a detector finds on its picture."""
    image = need("PIL.Image", "pillow", "a layout detector")
    picture = image.open(io.BytesIO(page_image(path, page.number, dpi))).convert("RGB")
    return replace(page, objects=detected(page, detector_of(detector).detect(picture), dpi))


def as_passages(read: PagesRead, folder: str) -> ChunkedDocument:
    """Return a passage for each page; see `Page.of` for their metadata.

    Args:
        read: the document.
        folder: what the passages name as the folder of its pages.
    """
    document = read.document
    known = {"source": document.id, "document": document.id} | ({"title": document.title} if document.title else {})
    passages = []
    for page, section in zip(document.pages, read.sections, strict=True):
        about: dict[str, Any] = {"page": page.number, "box": [0.0, 0.0, page.width, page.height], "pages": folder}
        about["objects"] = [one.to_dict() for one in page.objects]
        if section:
            about["section"] = list(section)
        passages.append(Passage(id=f"{document.id}#p{page.number}", page_content=page.text, metadata=known | about))
    return ChunkedDocument(tuple(passages))


_Size = tuple[float, float]
_Read = tuple[TextPage, _Size, PageParts | None]


def _taken_apart(pymupdf: Any, pdf: Any, file: SourceFile, report: IngestReport, settings: PdfSettings) -> list[_Read]:
    outline = outline_of(pymupdf, pdf) if settings.headings else {}
    parts = list(page_parts(pymupdf, pdf, file, report, settings))
    return [(TextPage(page.number, blocks), page.size, page) for page, blocks in blocks_of(parts, settings, outline)]


def _plain(pymupdf: Any, pdf: Any, file: SourceFile, report: IngestReport, settings: PdfSettings) -> list[_Read]:
    pages = plain_pages(pymupdf, pdf, file, report, settings)
    sizes = [pdf[(page.number or 1) - 1].rect for page in pages]
    return [
        (page, (round(size.width, 1), round(size.height, 1)), None) for page, size in zip(pages, sizes, strict=True)
    ]


def _objects(prefix: str, parts: Sequence[Part], found: PageParts | None) -> Iterator[PageObject]:
    """Return the tables and figures of a page, in reading order, those without a word at the end."""
    if found is None:
        return
    made = [(table.whole, _table(table, found)) for table in found.tables]
    made += [(figure.whole, _figure(figure, found)) for figure in found.figures]
    places = {(part.block.kind, part.block.box): number for number, part in enumerate(parts)}
    placed: list[tuple[int, PageObject]] = []
    for whole, one in made:
        number = places.get((one.category, found.shown(whole)), len(parts))
        span = (parts[number].start, parts[number].end) if number < len(parts) else (0, 0)
        placed.append((number, replace(one, span=span)))
    counts = {"table": 0, "figure": 0}
    for _, one in sorted(placed, key=lambda each: each[0]):
        x0, y0, x1, y1 = one.box
        if min(x1 - x0, y1 - y0) >= _LEAST_SIDE:
            counts[one.category] += 1
            yield replace(one, id=f"{prefix}.{one.category}{counts[one.category]}")


def _table(table: TablePart, page: PageParts) -> PageObject:
    rows = tuple(tuple(_line(cell) for cell in row) for row in table.rows)
    caption = _line(table.caption)
    return PageObject("", "table", page.shown(table.box), caption, label(caption), rows=rows, header=table.header)


def _figure(figure: FigurePart, page: PageParts) -> PageObject:
    caption = _line(figure.caption)
    return PageObject("", "figure", page.shown(figure.box), caption, label(caption))


def _line(text: str) -> str:
    return " ".join(normalised(text).split())
