"""Open a PDF, and say in one line why that fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ragkit.documents.document import Unreadable
from ragkit.documents.text import clean
from ragkit.errors import need


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a PDF, with MuPDF's own messages off.

    Raises:
        Unreadable: the file cannot be opened, or an error of MuPDF left the block.
    """
    pymupdf = need("pymupdf", "pymupdf", "reading PDF files")
    with path.open("rb") as start:
        head = start.read(1024)
    if not head:
        raise Unreadable("the file is empty")
    # MuPDF goes by the content and would open pictures and e-books too; the header may stand behind some junk.
    if b"%PDF-" not in head:
        raise Unreadable("not a PDF: it does not start with %PDF-")
    with _silenced(pymupdf):
        try:
            # MuPDF takes names in UTF-8 only.
            named = str(path).isascii() or clean(str(path)) == str(path)
            with pymupdf.open(path if named else None, None if named else path.read_bytes(), "pdf") as pdf:
                if pdf.needs_pass:
                    raise Unreadable("encrypted: it needs a password")
                if pdf.page_count == 0:
                    raise Unreadable(
                        "it has no pages" + (" that can be found: the file is damaged" if pdf.is_repaired else "")
                    )
                yield pdf
        except failures(pymupdf) as error:
            # MuPDF names the file with its folders here, and nothing else.
            reason = "it cannot be opened as a PDF" if "Failed to open" in str(error) else one_line(error)
            raise Unreadable(f"damaged: {reason}") from None


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


def failures(pymupdf: Any) -> tuple[type[Exception], ...]:
    """Return what PyMuPDF raises on damaged files."""
    return (pymupdf.mupdf.FzErrorBase, RuntimeError, ValueError, IndexError)


def one_line(error: Exception) -> str:
    """Return what an error of MuPDF says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__
