"""Pictures of pages and of what stands on them: for citations, for models that see, and for pages without text."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from ragkit.documents.document import Block, Box, IngestReport, SourceFile
from ragkit.documents.pdf.blocks import blocks_of
from ragkit.documents.pdf.opening import opened
from ragkit.documents.pdf.page import FigurePart
from ragkit.documents.pdf.pages import page_parts
from ragkit.documents.pdf.read import outline_of
from ragkit.documents.pdf.settings import PdfSettings
from ragkit.errors import InputError, need

LISTING = "images.json"
_POINTS_PER_INCH = 72
_MOST_PIXELS = 50_000_000


class Exported(NamedTuple):
    """A picture that `export_images` wrote.

    Attributes:
        file: its name in the folder.
        page: counts from 1.
        box: of the figure with its caption; None for a whole scanned page.
        caption: the figure's caption, or nothing.
        section: the headings that it stands under, outermost first.
    """

    file: str
    page: int
    box: Box | None
    caption: str
    section: tuple[str, ...]


def page_image(path: Path | str, page: int, dpi: int = 150, box: Box | None = None) -> bytes:
    """Return a page of a PDF, or a part of it, as PNG.

    Args:
        path: of the PDF.
        page: counts from 1.
        dpi: resolution; at 72 a point is a pixel.
        box: of a block or passage, in points on the page as it is shown; None for the whole page.

    Raises:
        InputError: the PDF has no such page, the box lies outside of it, or the picture would be too large.
        Unreadable: the file cannot be opened.
    """
    path = Path(path)
    with opened(path) as pdf:
        if not 1 <= page <= pdf.page_count:
            raise InputError(f"{path}: there is no page {page} (it has {pdf.page_count})")
        return _png(pdf[page - 1], dpi, box, f"{path}, page {page}")


def export_images(
    path: Path | str, folder: Path | str, dpi: int = 150, settings: PdfSettings | None = None
) -> list[Exported]:
    """Write the figures and the scanned pages of a PDF into a folder, as PNG and with a listing in `images.json`.

    Args:
        path: of the PDF.
        folder: is made if it is not there; pictures of the same names are replaced.
        dpi: resolution of the pictures.
        settings: how the PDF is read; figures and headings are looked for in any case, and nothing is recognised.

    Raises:
        Unreadable: the file cannot be opened.
    """
    reading = (settings or PdfSettings()).model_copy(update={"figures": True, "headings": True, "ocr": "off"})
    path, folder = Path(path), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pymupdf = need("pymupdf", "pymupdf", "reading PDF files")
    exported: list[Exported] = []
    with opened(path) as pdf:
        parts = list(page_parts(pymupdf, pdf, SourceFile(path, path.name), IngestReport(), reading))
        section: list[tuple[int, str]] = []
        for page, blocks in blocks_of(parts, reading, outline_of(pymupdf, pdf)):
            if page.scanned:
                name = f"page{page.number:04d}.png"
                exported.append(Exported(name, page.number, None, "", _texts(section)))
            above = _sections(blocks, section)
            for number, figure in enumerate(page.figures, start=1):
                box = page.shown(figure.whole)
                headings = above.get(box, _texts(section))
                name = f"page{page.number:04d}-figure{number}.png"
                exported.append(Exported(name, page.number, box, _caption(figure), headings))
        for picture in exported:
            place = f"{path}, page {picture.page}"
            (folder / picture.file).write_bytes(_png(pdf[picture.page - 1], dpi, picture.box, place))
    listing = [picture._asdict() for picture in exported]
    (folder / LISTING).write_text(json.dumps(listing, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return exported


def _png(page: Any, dpi: int, box: Box | None, place: str) -> bytes:
    pymupdf = need("pymupdf", "pymupdf", "reading PDF files")
    clip = page.rect if box is None else pymupdf.Rect(box) & page.rect
    if clip.is_empty:
        raise InputError(f"{place}: the box {box} lies outside the page")
    scale = dpi / _POINTS_PER_INCH
    pixels = clip.width * clip.height * scale * scale
    if pixels > _MOST_PIXELS:
        raise InputError(f"{place}: {pixels / 1e6:.0f} million pixels at {dpi} dpi; choose a lower resolution")
    png: bytes = page.get_pixmap(dpi=dpi, clip=clip).tobytes("png")
    return png


def _sections(blocks: tuple[Block, ...], section: list[tuple[int, str]]) -> dict[Box | None, tuple[str, ...]]:
    """Return the section of each figure block of a page by its box, and carry `section` on over the page."""
    found: dict[Box | None, tuple[str, ...]] = {}
    for block in blocks:
        if block.kind == "heading":
            while section and section[-1][0] >= block.level:
                section.pop()
            section.append((block.level, block.text))
        elif block.kind == "figure":
            found[block.box] = _texts(section)
    return found


def _texts(section: list[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(text for _, text in section)


def _caption(figure: FigurePart) -> str:
    return " ".join(figure.caption.split())
