"""Go through the pages of a PDF, whatever is wrong with one of them."""

from collections.abc import Iterator
from typing import Any

from ragkit.documents.document import Block, Box, IngestReport, Page, SourceFile
from ragkit.documents.layout import reading_order
from ragkit.documents.pdf.content import turned
from ragkit.documents.pdf.opening import failures, one_line
from ragkit.documents.pdf.page import PageParts, take_apart
from ragkit.documents.pdf.scanned import is_picture, recognise
from ragkit.documents.pdf.settings import PdfSettings
from ragkit.documents.pdf.text import Mender, is_garbage, normalised


def page_parts(
    pymupdf: Any, pdf: Any, file: SourceFile, report: IngestReport, settings: PdfSettings
) -> Iterator[PageParts]:
    """Take the pages of a PDF apart; what is wrong with one goes into the report."""
    for number in range(1, pdf.page_count + 1):
        report.pages += 1
        try:
            page = pdf[number - 1]
            parts = take_apart(pymupdf, page, number, settings)
            if not parts.readable and is_picture(page):
                text = recognise(pymupdf, page, settings)
                _note(report, file, number, recognised=text is not None)
                parts = (
                    PageParts(number, parts.width, parts.height, parts.quarter_turns, scanned=True)
                    if text is None
                    else take_apart(pymupdf, page, number, settings, text)
                )
        except failures(pymupdf) as error:
            report.skip(f"{file.id}, page {number}", f"damaged: {one_line(error)}")
            continue
        yield parts


def plain_pages(pymupdf: Any, pdf: Any, file: SourceFile, report: IngestReport, settings: PdfSettings) -> list[Page]:
    """Read nothing but the text, which PyMuPDF hands out in blocks."""
    read: list[tuple[int, list[tuple[Box, str]]]] = []
    for number in range(1, pdf.page_count + 1):
        report.pages += 1
        try:
            page = pdf[number - 1]
            found = page.get_text("blocks", sort=False)
            rotation = page.rotation // 90
            if is_garbage("".join(block[4] for block in found)) and is_picture(page):
                text = recognise(pymupdf, page, settings)
                _note(report, file, number, recognised=text is not None)
                found = page.get_text("blocks", textpage=text, sort=False) if text else []
                rotation = 0
            width, height = (page.cropbox.width, page.cropbox.height) if rotation else (0.0, 0.0)
        except failures(pymupdf) as error:
            report.skip(f"{file.id}, page {number}", f"damaged: {one_line(error)}")
            continue
        blocks: list[tuple[Box, str]] = []
        for x0, y0, x1, y1, text, _, kind in found:
            if kind == 0 and (clean := normalised(text)):
                box = (x0, y0, x1, y1)
                left, top, right, bottom = turned(box, rotation, width, height) if rotation else box
                blocks.append(((round(left, 1), round(top, 1), round(right, 1), round(bottom, 1)), clean))
        read.append((number, blocks))
    mender = Mender(text for _, blocks in read for _, text in blocks)
    return [
        Page(number, tuple(reading_order([(box, Block(mender.paragraph(text), box)) for box, text in blocks])))
        for number, blocks in read
    ]


def _note(report: IngestReport, file: SourceFile, number: int, recognised: bool) -> None:
    listing = report.recognised if recognised else report.scanned
    listing.setdefault(file.id, []).append(number)
