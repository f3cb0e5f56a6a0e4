"""PDF through PyMuPDF: text blocks with boxes, in reading order, page by page."""

import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ragkit.documents.document import Block, IngestReport, Page, SourceDocument, SourceFile, Unreadable
from ragkit.documents.layout import reading_order
from ragkit.documents.pdf.settings import PdfSettings
from ragkit.documents.text import clean
from ragkit.errors import need

_DEFAULT = PdfSettings()
_LINE_END_HYPHEN = re.compile(r"(\w+)[-\u2010\u00ad]\n(\w+)")
_HYPHENATED = re.compile(r"\w+[-\u2010]\w+")
_WRAPPED_LINE = 30
# Word writes its bullets in Symbol and Wingdings, which have no Unicode mapping.
_BULLETS = str.maketrans("\uf0b7\uf0a7", "••")


def read_pdf(file: SourceFile, report: IngestReport, settings: PdfSettings = _DEFAULT) -> Iterator[SourceDocument]:
    """Read a PDF as one document with a page per page that holds text.

    Pages without text are counted in the report; a damaged page is noted there and left out.

    Raises:
        Unreadable: damaged, encrypted, empty or not a PDF.
        MissingPackageError: PyMuPDF is not installed.
    """
    pymupdf = need("pymupdf", "pymupdf", "reading PDF files")
    failures = (pymupdf.mupdf.FzErrorBase, RuntimeError, ValueError, IndexError)
    with _silenced(pymupdf):
        try:
            with _opened(pymupdf, file) as pdf:
                pages = list(_pages(pdf, file, report, failures))
                title = clean(unicodedata.normalize("NFKC", (pdf.metadata or {}).get("title") or "")).strip()
                count = pdf.page_count
        except failures as error:
            raise Unreadable(f"damaged: {_one_line(error)}") from None
    if not pages:
        raise Unreadable(f"no text on any of its {count} pages (scanned images?)")
    metadata = {"source": file.id, "document": file.id} | ({"title": title} if title else {})
    yield SourceDocument(file.id, _mended(pages), metadata)


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


@contextmanager
def _opened(pymupdf: Any, file: SourceFile) -> Iterator[Any]:
    data = file.path.read_bytes()
    if not data:
        raise Unreadable("the file is empty")
    # MuPDF goes by the content and would open pictures and e-books too; the header may stand behind some junk.
    if b"%PDF-" not in data[:1024]:
        raise Unreadable("not a PDF: it does not start with %PDF-")
    with pymupdf.open(stream=data, filetype="pdf") as pdf:
        if pdf.needs_pass:
            raise Unreadable("encrypted: it needs a password")
        if pdf.page_count == 0:
            raise Unreadable("it has no pages")
        yield pdf


def _pages(pdf: Any, file: SourceFile, report: IngestReport, failures: tuple[type[Exception], ...]) -> Iterator[Page]:
    for number in range(1, pdf.page_count + 1):
        report.pages += 1
        try:
            found = pdf[number - 1].get_text("blocks", sort=False)
        except failures as error:
            report.skip(f"{file.id}, page {number}", f"damaged: {_one_line(error)}")
            continue
        blocks = []
        for x0, y0, x1, y1, text, _, kind in found:
            cleaned = _normalised(text) if kind == 0 else ""
            if cleaned:
                box = (round(x0, 1), round(y0, 1), round(x1, 1), round(y1, 1))
                blocks.append((box, Block(cleaned, box)))
        if blocks:
            yield Page(number, tuple(reading_order(blocks)))
        else:
            report.no_text(file.id, number)


def _normalised(text: str) -> str:
    """Return a block's lines in NFKC (ligatures apart, full-width forms plain), without blank lines."""
    lines = (
        " ".join(line.split()) for line in unicodedata.normalize("NFKC", clean(text)).translate(_BULLETS).splitlines()
    )
    return "\n".join(line for line in lines if line)


def _mended(pages: list[Page]) -> tuple[Page, ...]:
    """Join words that a line end parted, and the lines of a paragraph.

    A hyphen at a line end stays if the word is written with it elsewhere in the document (`long-term`) or if what
    follows does not start with a small letter; otherwise it goes.
    """
    whole = " ".join(block.text for page in pages for block in page.blocks)
    hyphenated = {word.lower().replace("\u2010", "-") for word in _HYPHENATED.findall(whole)}

    def join(match: re.Match[str]) -> str:
        left, right = match.groups()
        keep = not right[0].islower() or f"{left}-{right}".lower() in hyphenated
        return f"{left}-{right}" if keep else left + right

    def mend(block: Block) -> Block:
        return block._replace(text=_unwrapped(_LINE_END_HYPHEN.sub(join, block.text)))

    return tuple(page._replace(blocks=tuple(mend(block) for block in page.blocks)) for page in pages)


def _unwrapped(text: str) -> str:
    """Join a line with the next where it ends at the right margin: it is long, and nearly the block's longest."""
    lines = text.split("\n")
    full = max(_WRAPPED_LINE, 0.7 * max(map(len, lines)))
    return "".join(line + (" " if len(line) >= full else "\n") for line in lines).strip()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
