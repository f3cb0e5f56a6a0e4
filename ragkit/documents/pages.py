"""Pages of a PDF as they are seen: text, tables and figures with their boxes, and pictures that are made on demand.

A folder holds a document:

    document.json    its id, the PDF, the resolution of the pictures
    pages.jsonl      a page a line
    p0003.png        the picture of page 3, p0003-table1.png that of its first table: there once it was asked for

Source of the form: Chia et al. 2025, M-LongDoc, arXiv 2411.06176, section 3.1 (text, full render, and crops of tables
and figures for every page).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

from ragkit.documents.document import Box
from ragkit.documents.page_image import PageImage
from ragkit.documents.pdf.markdown import as_markdown
from ragkit.engine.state import Passage
from ragkit.errors import InputError

DOCUMENT, PAGES = "document.json", "pages.jsonl"

ObjectCategory = Literal["table", "figure"]


@dataclass(frozen=True, slots=True)
class PageObject:
    """A table or a figure on a page.

    Attributes:
        id: `<document>#p<page>.<category><n>`, n from 1 on each page: what an answer cites.
        category: what it is.
        box: in points on the page as it is shown, without the caption.
        caption: the text that belongs to it, on one line; '' if it has none.
        label: what the caption numbers it with: `Table 3`, `Figure 2.1`; '' without a number.
        span: where its text (caption, then the table as Markdown or the words in the figure) stands in the page's
            text; empty (start = end) for a picture without a word.
        rows: the cells of a table, all rows equally long; empty for a figure.
        header: how many of the rows are head rows.
        score: how sure its detector was; 1 for what the PDF itself tells.
        image: its picture.
    """

    id: str
    category: ObjectCategory
    box: Box
    caption: str = ""
    label: str = ""
    span: tuple[int, int] = (0, 0)
    rows: tuple[tuple[str, ...], ...] = ()
    header: int = 0
    score: float = 1.0
    image: PageImage | None = field(default=None, compare=False, repr=False)

    @property
    def markdown(self) -> str:
        """The cells as a Markdown table; '' for a figure."""
        return as_markdown(self.rows, self.header, _one_line) if self.rows else ""

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the picture, as JSON data."""
        data = asdict(replace(self, image=None))
        del data["image"]
        return data | {"box": list(self.box), "span": list(self.span), "rows": [list(row) for row in self.rows]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], image: PageImage | None = None) -> Self:
        """Return the object that `to_dict` was made from."""
        x0, y0, x1, y1 = data["box"]
        start, end = data["span"]
        rows = tuple(tuple(row) for row in data["rows"])
        return cls(**{**data, "box": (x0, y0, x1, y1), "span": (start, end), "rows": rows, "image": image})


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a document.

    Attributes:
        document: the id of the document.
        number: counts from 1.
        width: of the page as it is shown, in points.
        height: of the page as it is shown, in points.
        text: all of it in reading order, tables as Markdown, figures as caption and words; '' on a page without text.
        objects: tables and figures in reading order.
        image: the picture of the whole page.
    """

    document: str
    number: int
    width: float
    height: float
    text: str = ""
    objects: tuple[PageObject, ...] = ()
    image: PageImage | None = field(default=None, compare=False, repr=False)

    @property
    def body(self) -> str:
        """The text without what belongs to tables and figures."""
        kept, place = [], 0
        for start, end in sorted(one.span for one in self.objects):
            kept.append(self.text[place:start])
            place = max(place, end)
        pieces = [piece.strip() for piece in [*kept, self.text[place:]]]
        return "\n\n".join(piece for piece in pieces if piece)

    def text_of(self, one: PageObject) -> str:
        """Return what the page's text says of an object: its caption, and its cells or words."""
        return self.text[slice(*one.span)]

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the pictures, as JSON data."""
        return {
            "document": self.document,
            "number": self.number,
            "width": self.width,
            "height": self.height,
            "text": self.text,
            "objects": [one.to_dict() for one in self.objects],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], pictures: "Pictures | None" = None) -> Self:
        """Return the page that `to_dict` was made from, with pictures if it is known where they are."""
        number = data["number"]
        objects = tuple(
            PageObject.from_dict(one, pictures.of(number, one["id"], one["box"]) if pictures else None)
            for one in data["objects"]
        )
        return cls(**{**data, "objects": objects, "image": pictures.of(number) if pictures else None})

    @classmethod
    def of(cls, passage: Passage) -> Self:
        """Return the page that a passage of an index with `pages` is.

        Such a passage has these metadata: `source` and `document` (ids of the file and the document), `page` (from 1),
        `box` (the whole page), `objects` (a list of `PageObject.to_dict`), and `pages`, the folder of the document's
        pages, where `pictures` come from.

        Raises:
            InputError: the passage is no page.
        """
        data = passage.metadata
        if "objects" not in data or "page" not in data:
            raise InputError(f"the passage '{passage.id}' is no page: give the index 'pages', so that it keeps pages")
        _, _, width, height = data["box"]
        row = {"document": data["document"], "number": data["page"], "width": width, "height": height}
        pictures = Pictures.load(Path(data["pages"])) if data.get("pages") else None
        return cls.from_dict(row | {"text": passage.page_content, "objects": data["objects"]}, pictures)


@dataclass(frozen=True, slots=True)
class Pictures:
    """Where the pictures of a document are kept and what they are made from."""

    folder: Path
    pdf: Path
    dpi: int

    def of(self, number: int, name: str = "", box: Any = None) -> PageImage:
        """Return the picture of a page, or of the object with this id and box on it."""
        suffix = f"-{name.rpartition('.')[2]}" if name else ""
        x0, y0, x1, y1 = box or (0.0, 0.0, 0.0, 0.0)
        part = (x0, y0, x1, y1) if box else None
        return PageImage(self.folder / f"p{number:04d}{suffix}.png", self.pdf, number, part, self.dpi)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the pictures of a document that was saved to a folder.

        Raises:
            InputError: the folder holds no document.
        """
        data = _header(folder)
        return cls(folder, Path(data["pdf"]), data["dpi"])


@dataclass(frozen=True, slots=True)
class PageDocument:
    """A PDF with its pages.

    Attributes:
        id: of the document: the file's path below the corpus root.
        pdf: where the file is.
        pages: in order; pages that are damaged are left out.
        title: as the PDF names it, or ''.
        dpi: resolution of the pictures.
    """

    id: str
    pdf: Path
    pages: tuple[Page, ...]
    title: str = ""
    dpi: int = 150

    def save(self, folder: Path) -> None:
        """Write the document into a folder, a page a line; pictures come when they are asked for."""
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / PAGES).open("w", encoding="utf-8") as lines:
            for page in self.pages:
                lines.write(json.dumps(page.to_dict(), ensure_ascii=False) + "\n")
        header = {"id": self.id, "pdf": str(self.pdf.absolute()), "title": self.title, "dpi": self.dpi}
        (folder / DOCUMENT).write_text(json.dumps(header, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the document of a folder.

        Raises:
            InputError: the folder holds no document.
        """
        data = _header(folder)
        return cls(data["id"], Path(data["pdf"]), tuple(iterate_pages(folder)), data["title"], data["dpi"])


def iterate_pages(folder: Path) -> Iterator[Page]:
    """Return the pages of a document that was saved to a folder, one at a time; no picture is touched.

    Raises:
        InputError: the folder holds no document.
    """
    pictures = Pictures.load(folder)
    with (folder / PAGES).open(encoding="utf-8") as lines:
        for line in lines:
            yield Page.from_dict(json.loads(line), pictures)


def _header(folder: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads((folder / DOCUMENT).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{folder} holds no pages of a document ({error.strerror})") from None
    return data


def _one_line(text: str) -> str:
    return " ".join(text.split())
