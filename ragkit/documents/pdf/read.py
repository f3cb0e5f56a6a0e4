"""Read a PDF page by page."""

from collections.abc import Iterator
from typing import Any

from ragkit.documents.document import IngestReport, Page, SourceDocument, SourceFile, Unreadable
from ragkit.documents.pdf.blocks import blocks_of
from ragkit.documents.pdf.headings import Outline, read_outline
from ragkit.documents.pdf.opening import failures, opened
from ragkit.documents.pdf.pages import page_parts, plain_pages
from ragkit.documents.pdf.scanned import why_not
from ragkit.documents.pdf.settings import PdfSettings
from ragkit.documents.pdf.text import normalised
from ragkit.errors import need

_DEFAULT = PdfSettings()


def read_pdf(file: SourceFile, report: IngestReport, settings: PdfSettings = _DEFAULT) -> Iterator[SourceDocument]:
    """Read a PDF as one document with a page per page that holds text.

    Pages without text are counted in the report, scanned pages that were not recognised are listed there, and a
    damaged page is noted there and left out.

    Raises:
        Unreadable: damaged, encrypted, empty or not a PDF.
        MissingPackageError: PyMuPDF is not installed.
    """
    pymupdf = need("pymupdf", "pymupdf", "reading PDF files")
    skipped = len(report.skipped)
    with opened(file.path) as pdf:
        count = pdf.page_count
        title = normalised((pdf.metadata or {}).get("title") or "")
        if settings.plain:
            pages = plain_pages(pymupdf, pdf, file, report, settings)
        else:
            outline = outline_of(pymupdf, pdf) if settings.headings else {}
            parts = list(page_parts(pymupdf, pdf, file, report, settings))
            pages = [Page(page.number, blocks) for page, blocks in blocks_of(parts, settings, outline)]
    filled = tuple(page for page in pages if page.blocks)
    damaged = {place for place, _ in report.skipped[skipped:]}
    read = {page.number for page in filled}
    for number in range(1, count + 1):
        if number not in read and f"{file.id}, page {number}" not in damaged:
            report.no_text(file.id, number)
    if not filled:
        hint = f" (scanned images: {why_not(settings)})" if file.id in report.scanned else ""
        raise Unreadable(f"no text on {'its only page' if count == 1 else f'any of its {count} pages'}{hint}")
    metadata = {"source": file.id, "document": file.id} | ({"title": " ".join(title.split())} if title else {})
    yield SourceDocument(file.id, filled, metadata)


def outline_of(pymupdf: Any, pdf: Any) -> Outline:
    """Return the outline of a PDF; one that is damaged is as good as none."""
    try:
        return read_outline(pdf.get_toc(simple=True))
    except failures(pymupdf):
        return {}
