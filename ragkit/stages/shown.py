"""Pages as a reader is shown them: text, and pictures of the page or of its tables and figures."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ragkit.documents.page_image import PageImage
from ragkit.documents.pages import Page, PageObject
from ragkit.engine.state import Citation, Passage
from ragkit.errors import InputError, need
from ragkit.models.base import slot, without_slots

_LEAST_SIDE = 4
_LONGEST_SHAPE = 100
"""Pictures thinner than this show nothing, and models that cut them into patches refuse them."""


@dataclass(frozen=True, slots=True)
class Capped:
    """A picture whose longer side is at most so many pixels.

    Source: Chia et al. 2025, M-LongDoc, arXiv 2411.06176: pictures are shrunk to 768 pixels (Lanczos).

    Attributes:
        image: of a page or of a part of it.
        side: the most pixels of the longer side.
    """

    image: PageImage
    side: int

    @property
    def key(self) -> str:
        """What names the picture: that of the page, and to what it is shrunk."""
        return f"{self.image.key}@{self.side}px"

    def open(self) -> Any:
        """Return the picture as an RGB image of Pillow."""
        pillow = need("PIL.Image", "pillow", "pictures of pages")
        opened = self.image.open()
        opened.thumbnail((self.side, self.side), pillow.Resampling.LANCZOS)
        return opened

    def png(self) -> bytes:
        """Return the picture as PNG."""
        written = io.BytesIO()
        self.open().save(written, "PNG")
        return written.getvalue()

    def shows_something(self) -> bool:
        """Say whether there is anything to see: it is not a line or a dot."""
        pillow = need("PIL.Image", "pillow", "pictures of pages")
        with pillow.open(io.BytesIO(self.image.png())) as opened:  # the size stands in the file's head
            short, long = sorted(opened.size)
        return bool(short >= _LEAST_SIDE and long <= _LONGEST_SHAPE * short)


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture that a reader is shown.

    Attributes:
        passage: id of the page's passage.
        object: the table or figure; None for the whole page.
        picture: what is seen.
    """

    passage: str
    object: PageObject | None
    picture: Capped


def objects_of(passage: Passage) -> tuple[PageObject, ...]:
    """Return the tables and figures of a passage that is a page; nothing for other passages."""
    return Page.of(passage).objects if "objects" in passage.metadata else ()


def pages_for_prompt(passages: Sequence[Passage], media: Sequence[Shown]) -> list[dict[str, Any]]:
    """Return what a prompt is rendered with: for each page its number, place, text, picture and objects.

    Pictures are `slot`s, numbered in the order of `media`. An object has a name to be cited by, `2.1` for the first one
    of the second page, and a label; those without a picture are named in the page's text already and are left out.
    """
    slots: dict[tuple[str, str], str] = {}
    for number, shown in enumerate(media):
        slots[shown.passage, shown.object.id if shown.object else ""] = slot(number)
    pages = []
    for number, passage in enumerate(passages, 1):
        seen = [
            {"name": f"{number}.{place}", "label": _label(one), "picture": slots[passage.id, one.id]}
            for place, one in enumerate(objects_of(passage), 1)
            if (passage.id, one.id) in slots
        ]
        pages.append(
            {
                "number": number,
                "place": without_slots(passage.place),
                "text": without_slots(passage.page_content),
                "picture": slots.get((passage.id, "")),
                "objects": seen,
            }
        )
    return pages


def _label(one: PageObject) -> str:
    return without_slots(one.caption or one.label or one.category)


def cite_object(passage: Passage, one: PageObject) -> Citation:
    """Return a citation of a table or figure of a page."""
    metadata: Mapping[str, Any] = passage.metadata
    source = str(metadata.get("source") or metadata.get("document") or passage.id)
    return Citation(passage.id, source, metadata.get("page"), one.box, one.id)


def page_image(passage: Passage) -> PageImage:
    """Return the picture of a passage that is a page.

    Raises:
        InputError: it is none, or its pictures are not kept anywhere.
    """
    image = Page.of(passage).image
    if image is None:
        raise InputError(f"the passage '{passage.id}' has no picture of its page: give the index 'pages'")
    return image
