"""Read a PDF page by page."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ragkit.documents.document import Block, Box, IngestReport, Page, SourceDocument, SourceFile, Unreadable
from ragkit.documents.layout import reading_order
from ragkit.documents.pdf.content import turned
from ragkit.documents.pdf.headings import Headings, read_outline
from ragkit.documents.pdf.markdown import as_markdown
from ragkit.documents.pdf.page import FigurePart, PageParts, take_apart
from ragkit.documents.pdf.paragraphs import paragraphs
from ragkit.documents.pdf.running import drop_running
from ragkit.documents.pdf.scanned import is_picture, recognise, why_not
from ragkit.documents.pdf.settings import PdfSettings
from ragkit.documents.pdf.text import Mender, is_garbage, normalised
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
    with opened(file) as pdf:
        count = pdf.page_count
        title = normalised(pdf.metadata.get("title") or "" if pdf.metadata else "")
        outline = read_outline(_entries(pymupdf, pdf)) if settings.headings else {}
        if settings.plain:
            pages = _plain_pages(pymupdf, pdf, file, report, settings)
        else:
            parts = list(page_parts(pymupdf, pdf, file, report, settings))
            pages = [Page(number, blocks) for number, blocks in blocks_of(parts, settings, outline)]
    report.tables += sum(block.kind == "table" for page in pages for block in page.blocks)
    report.figures += sum(block.kind == "figure" for page in pages for block in page.blocks)
    pages = [page for page in pages if page.blocks]
    report.pages_without_text += (
        count - len(pages) - sum(place.startswith(f"{file.id}, page ") for place, _ in report.skipped)
    )
    if not pages:
        hint = f" (scanned images; {why_not(settings)})" if file.id in report.scanned else ""
        raise Unreadable(f"no text on any of its {count} pages{hint}")
    metadata = {"source": file.id, "document": file.id} | ({"title": " ".join(title.split())} if title else {})
    yield SourceDocument(file.id, tuple(pages), metadata)


@contextmanager
def opened(file: SourceFile) -> Iterator[Any]:
    """Open a PDF, with MuPDF's own messages off.

    Raises:
        Unreadable: the file cannot be opened, or an error of MuPDF left the block.
    """
    pymupdf = need("pymupdf", "pymupdf", "reading PDF files")
    with file.path.open("rb") as start:
        head = start.read(1024)
    if not head:
        raise Unreadable("the file is empty")
    # MuPDF goes by the content and would open pictures and e-books too; the header may stand behind some junk.
    if b"%PDF-" not in head:
        raise Unreadable("not a PDF: it does not start with %PDF-")
    with _silenced(pymupdf):
        try:
            with pymupdf.open(file.path, filetype="pdf") as pdf:
                if pdf.needs_pass:
                    raise Unreadable("encrypted: it needs a password")
                if pdf.page_count == 0:
                    raise Unreadable("it has no pages")
                yield pdf
        except _failures(pymupdf) as error:
            raise Unreadable(f"damaged: {_one_line(error)}") from None


@contextmanager
def _silenced(pymupdf: Any) -> Iterator[None]:
    """Keep MuPDF from printing; what it has to say goes into the reason of a skipped file."""
    tools = pymupdf.TOOLS
    errors, warnings = tools.mupdf_display_errors(), tools.mupdf_display_warnings()
    tools.mupdf_display_errors(False)
    tools.mupdf_display_warnings(False)
    try:
        yield
    finally:
        tools.mupdf_display_errors(errors)
        tools.mupdf_display_warnings(warnings)


def _failures(pymupdf: Any) -> tuple[type[Exception], ...]:
    """Return what PyMuPDF raises on damaged files."""
    return (pymupdf.mupdf.FzErrorBase, RuntimeError, ValueError, IndexError, KeyError, TypeError, AttributeError)


def _entries(pymupdf: Any, pdf: Any) -> list[Any]:
    """Return the entries of the outline; one that is damaged is as good as none."""
    try:
        return list(pdf.get_toc(simple=True))
    except _failures(pymupdf):
        return []


def page_parts(
    pymupdf: Any, pdf: Any, file: SourceFile, report: IngestReport, settings: PdfSettings
) -> Iterator[PageParts]:
    """Take the pages of a PDF apart; what is wrong with one goes into the report."""
    for number in range(1, pdf.page_count + 1):
        report.pages += 1
        try:
            page = pdf[number - 1]
            parts = take_apart(pymupdf, page, number, settings)
            if is_garbage("".join(line.text for line in parts.lines)) and not parts.tables and is_picture(page):
                text = recognise(pymupdf, page, settings)
                if text is None:
                    parts.scanned = True
                    parts.figures.clear()
                    report.scanned.setdefault(file.id, []).append(number)
                else:
                    parts = take_apart(pymupdf, page, number, settings, text)
                    report.recognised.setdefault(file.id, []).append(number)
            yield parts
        except _failures(pymupdf) as error:
            report.skip(f"{file.id}, page {number}", f"damaged: {_one_line(error)}")


def blocks_of(parts: list[PageParts], settings: PdfSettings, outline: Any) -> Iterator[tuple[int, tuple[Block, ...]]]:
    """Return (page number, blocks in reading order) of the pages of a document.

    What is decided here needs the whole document: which lines run through all pages, which text is larger than most
    of it, and which words are written with a hyphen.
    """
    if settings.drop_running:
        drop_running(parts)
        _drop_repeated_figures(parts)
    texts = [(page.number, paragraphs(page.lines)) for page in parts]
    headings = Headings(texts, outline) if settings.headings else None
    clean = [[normalised(paragraph.text) for paragraph in found] for _, found in texts]
    mender = Mender(text for page in clean for text in page)
    for page, (number, found), cleaned in zip(parts, texts, clean, strict=True):
        placed: list[tuple[Box, Block]] = []
        for paragraph, text in zip(found, cleaned, strict=True):
            level = headings.level(number, paragraph) if headings else 0
            mended = mender.line(text) if level else mender.paragraph(text)
            if mended:
                kind = "heading" if level else "text"
                placed.append((paragraph.box, Block(mended, page.shown(paragraph.box), kind, level)))
        for table in page.tables:
            rows = [[normalised(cell) for cell in row] for row in table.rows]
            text = as_markdown(rows, table.header, mender.line)
            caption = mender.line(normalised(table.caption))
            text = f"{caption}\n{text}" if caption else text
            placed.append((table.box, Block(text, page.shown(table.box), "table")))
        for figure in page.figures:
            if text := figure_text(figure, mender):
                placed.append((figure.whole, Block(text, page.shown(figure.whole), "figure")))
        yield number, tuple(reading_order(placed))


def figure_text(figure: FigurePart, mender: Mender) -> str:
    """Return the caption of a figure and the words in it, a line each."""
    caption = mender.line(normalised(figure.caption))
    words = normalised(figure.words)
    return "\n".join(text for text in (caption, words) if text)


def _drop_repeated_figures(parts: list[PageParts]) -> None:
    """Take out logos and ornaments: figures without a caption at the same place of at least three pages."""
    places: dict[tuple[int, ...], int] = {}
    for page in parts:
        for figure in page.figures:
            places[_place(figure)] = places.get(_place(figure), 0) + 1
    for page in parts:
        page.figures = [
            figure for figure in page.figures if figure.caption or figure.words or places[_place(figure)] < 3
        ]


def _place(figure: FigurePart) -> tuple[int, ...]:
    return tuple(round(value / 3) for value in figure.box)


def _plain_pages(pymupdf: Any, pdf: Any, file: SourceFile, report: IngestReport, settings: PdfSettings) -> list[Page]:
    """Read nothing but the text, which PyMuPDF hands out in blocks."""
    raw: list[tuple[int, list[tuple[Box, str]]]] = []
    for number in range(1, pdf.page_count + 1):
        report.pages += 1
        try:
            page = pdf[number - 1]
            found = page.get_text("blocks", sort=False)
            if is_garbage("".join(block[4] for block in found)) and is_picture(page):
                text = recognise(pymupdf, page, settings)
                if text is None:
                    report.scanned.setdefault(file.id, []).append(number)
                    found = []
                else:
                    report.recognised.setdefault(file.id, []).append(number)
                    found = page.get_text("blocks", textpage=text, sort=False)
        except _failures(pymupdf) as error:
            report.skip(f"{file.id}, page {number}", f"damaged: {_one_line(error)}")
            continue
        turn, width, height = (
            (0, 0.0, 0.0) if not page.rotation else (page.rotation // 90, page.cropbox.width, page.cropbox.height)
        )
        blocks = [
            ((round(x0, 1), round(y0, 1), round(x1, 1), round(y1, 1)), text)
            for x0, y0, x1, y1, raw_text, _, kind in found
            if kind == 0 and (text := normalised(raw_text))
        ]
        if turn:
            blocks = [(turned(box, turn, width, height), text) for box, text in blocks]
        raw.append((number, blocks))
    mender = Mender(text for _, blocks in raw for _, text in blocks)
    pages: list[Page] = []
    for number, blocks in raw:
        placed = [(box, Block(mender.paragraph(text), box)) for box, text in blocks]
        pages.append(Page(number, tuple(reading_order(placed))))
    return pages


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
