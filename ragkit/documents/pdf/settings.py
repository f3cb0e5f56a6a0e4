"""What is read from a PDF, and how."""

from typing import Literal

from pydantic import Field

from ragkit.engine.component import Component

READER = 1
"""Version of what `read_pdf` returns; bumped when the same file gives other blocks, so that indexes are rebuilt."""


class PdfSettings(Component):
    """What is read from a PDF. With tables, figures, headings and running lines off, the text is read as fast as
    PyMuPDF hands it out."""

    tables: bool = Field(True, description="Tables become Markdown with their caption, instead of loose text.")
    figures: bool = Field(True, description="Pictures and drawings become blocks: caption and the words inside.")
    headings: bool = Field(True, description="Recognise headings, so that passages know their section.")
    drop_running: bool = Field(True, description="Leave out running headers, footers and page numbers.")
    ocr: Literal["auto", "off"] = Field(
        "auto", description="auto: recognise the text of scanned pages where Tesseract is installed; off: report them."
    )
    language: str = Field(
        "eng", pattern=r"^[A-Za-z_]+(\+[A-Za-z_]+)*$", description="Tesseract's language codes, such as eng or deu+fra."
    )
    dpi: int = Field(300, ge=72, le=600, description="Resolution at which scanned pages are recognised.")

    @property
    def plain(self) -> bool:
        """Whether only the text is asked for."""
        return not (self.tables or self.figures or self.headings or self.drop_running)
