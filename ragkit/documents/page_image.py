"""A picture of a page, or of a part of it: made when it is asked for, and kept as a file from then on."""

import io
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragkit.documents.document import Box
from ragkit.errors import InputError, need


@dataclass(frozen=True, slots=True)
class PageImage:
    """Where a picture is kept, and what it is made from if it is not there yet.

    Attributes:
        file: the PNG file.
        pdf: the PDF.
        page: counts from 1.
        box: the part of the page, in points on the page as it is shown; None for the whole page.
        dpi: its resolution; at 72 a point is a pixel.
    """

    file: Path
    pdf: Path
    page: int
    box: Box | None = None
    dpi: int = 150

    @property
    def key(self) -> str:
        """What names the picture: the folder of its document (which goes by its content) and the file in it."""
        return f"{self.file.parent.name}/{self.file.name}@{self.dpi}"

    def png(self) -> bytes:
        """Return the picture as PNG.

        Raises:
            InputError: it is not kept, and the PDF is gone or has no such page.
            Unreadable: it is not kept, and the PDF cannot be opened.
        """
        if self.file.is_file():
            return self.file.read_bytes()
        from ragkit.documents.images import page_image

        if not self.pdf.is_file():
            raise InputError(f"{self.file} is not there, and cannot be made: {self.pdf} is gone")
        png = page_image(self.pdf, self.page, self.dpi, self.box)
        self.keep(png)
        return png

    def keep(self, png: bytes) -> None:
        """Write the picture to its file; a reader finds the whole of it or nothing."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        part = self.file.with_suffix(f".{uuid.uuid4().hex}.part")
        part.write_bytes(png)
        part.replace(self.file)

    def open(self) -> Any:
        """Return the picture as an RGB image of Pillow; raises as `png` does."""
        image = need("PIL.Image", "pillow", "pictures of pages")
        return image.open(io.BytesIO(self.png())).convert("RGB")
