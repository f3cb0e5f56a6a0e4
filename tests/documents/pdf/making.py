"""PDFs made for a test."""

from pathlib import Path

import pymupdf

from ragkit.documents import Block, IngestReport, SourceDocument, SourceFile
from ragkit.documents.pdf import PdfSettings, read_pdf

NO_OCR = PdfSettings(ocr="off")
PROSE = "The field is drained before sowing and the soil is left to settle for some days in dry weather. "


class Maker:
    """Writes pages with PyMuPDF; the origin of a text is its base line."""

    def __init__(self) -> None:
        self.pdf = pymupdf.open()
        self.page = self.pdf.new_page()

    def new_page(self, **size: float) -> "Maker":
        self.page = self.pdf.new_page(**size)
        return self

    def text(self, x: float, y: float, text: str, size: float = 10, bold: bool = False, rotate: int = 0) -> "Maker":
        self.page.insert_text((x, y), text, fontsize=size, fontname="hebo" if bold else "helv", rotate=rotate)
        return self

    def prose(self, box: tuple[float, float, float, float], text: str = PROSE * 4, size: float = 10) -> "Maker":
        assert self.page.insert_textbox(pymupdf.Rect(box), text, fontsize=size) >= 0, "the text does not fit"
        return self

    def rows(
        self, x: float, y: float, rows: list[list[str]], widths: list[float], height: float = 16, size: float = 9
    ) -> "Maker":
        for number, row in enumerate(rows):
            left = x
            for cell, width in zip(row, widths, strict=True):
                self.text(left + 3, y + number * height + 11, cell, size)
                left += width
        return self

    def rules(self, x: float, y: float, heights: list[float], width: float) -> "Maker":
        for height in heights:
            self.page.draw_line((x, y + height), (x + width, y + height), width=0.5)
        return self

    def grid(self, x: float, y: float, columns: list[float], rows: int, height: float = 16) -> "Maker":
        self.rules(x, y, [height * n for n in range(rows + 1)], sum(columns))
        left = x
        for width in [0.0, *columns]:
            left += width
            self.page.draw_line((left, y), (left, y + rows * height), width=0.5)
        return self

    def write(self, path: Path) -> Path:
        self.pdf.save(path)
        return path


def read(path: Path, settings: PdfSettings = NO_OCR) -> tuple[SourceDocument, IngestReport]:
    report = IngestReport()
    (document,) = read_pdf(SourceFile(path, path.name), report, settings)
    return document, report


def blocks(path: Path, settings: PdfSettings = NO_OCR) -> list[Block]:
    document, _ = read(path, settings)
    return [block for page in document.pages for block in page.blocks]
