"""Scanned pages: pictures of text, recognised through PyMuPDF's interface to Tesseract where that is installed."""

from functools import cache
from pathlib import Path
from typing import Any

from ragkit.documents.pdf.settings import PdfSettings

_LEAST_SHARE = 0.4
_LEAST_SHAPES = 200


def is_picture(page: Any) -> bool:
    """Say whether a page without text shows something that may be text: a large picture, or letters drawn as shapes."""
    whole = abs(page.rect.width * page.rect.height)
    covered = 0.0
    for image in page.get_image_info():
        x0, y0, x1, y1 = image["bbox"]
        covered += max(0.0, x1 - x0) * max(0.0, y1 - y0)
    return covered >= _LEAST_SHARE * whole or len(page.get_cdrawings()) >= _LEAST_SHAPES


def recognise(pymupdf: Any, page: Any, settings: PdfSettings) -> Any:
    """Return the recognised text of a page as a text page of PyMuPDF, or None where OCR is off or not installed."""
    if settings.ocr == "off":
        return None
    folder = _language_data(settings.language)
    if folder is None:
        return None
    return page.get_textpage_ocr(language=settings.language, dpi=settings.dpi, full=True, tessdata=folder)


def why_not(settings: PdfSettings) -> str:
    """Return what to do to have scanned pages recognised."""
    if settings.ocr == "off":
        return "OCR is off"
    return f"install Tesseract with the language '{settings.language}' to have them recognised"


@cache
def _language_data(language: str) -> str | None:
    """Return Tesseract's folder if it holds every one of the languages."""
    import pymupdf

    try:
        folder = pymupdf.get_tessdata()
    except RuntimeError:
        return None
    if not folder or not all((Path(folder) / f"{name}.traineddata").is_file() for name in language.split("+")):
        return None
    return str(folder)
