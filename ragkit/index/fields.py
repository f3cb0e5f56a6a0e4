"""Which fields of a passage are searched: its text, and what stands above it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

SearchField = Literal["title", "section", "text"]
"""`title` is that of the document, `section` the headings that the passage stands under, outermost first."""

DEFAULT_FIELDS: tuple[SearchField, ...] = ("title", "text")
"""Title and text are what published BM25 and dense results on BEIR are measured with (Thakur et al. 2021, BEIR)."""


class Passages(Protocol):
    """Passages by position, as the store of an index gives them."""

    def __len__(self) -> int: ...

    def read(self, start: int, stop: int) -> list[str]:
        """Return the texts at positions start, ..., stop - 1."""
        ...

    def read_with_metadata(self, start: int, stop: int) -> Sequence[tuple[str, Mapping[str, Any]]]:
        """Return the texts and metadata at positions start, ..., stop - 1."""
        ...


class SearchedTexts:
    """What a part gets to see of passages, by position (see `searched_text`)."""

    def __init__(self, passages: Passages, fields: Sequence[SearchField]) -> None:
        self._passages, self._fields = passages, fields

    def __len__(self) -> int:
        return len(self._passages)

    def read(self, start: int, stop: int) -> list[str]:
        """Return the texts at positions start, ..., stop - 1."""
        if tuple(self._fields) == ("text",):
            return self._passages.read(start, stop)
        found = self._passages.read_with_metadata(start, stop)
        return [searched_text(text, metadata, self._fields) for text, metadata in found]


def searched_text(text: str, metadata: Mapping[str, Any], fields: Sequence[SearchField] = DEFAULT_FIELDS) -> str:
    """Return what the parts of an index get to see of a passage: the fields, a line each.

    What is shown to readers and cited stays the text alone. A title is put before a text that begins with it too: an
    article about a thing ought to score higher for its name than one that mentions it. Fields that a passage lacks are
    left out; an empty text (a deleted passage) stays empty.

    Args:
        text: the passage's text.
        metadata: its metadata.
        fields: which fields, in this order.
    """
    if not text:
        return ""
    lines = []
    for field in fields:
        if field == "text":
            lines.append(text)
        elif field == "section":
            lines += [str(heading) for heading in metadata.get("section") or ()]
        elif title := metadata.get("title"):
            lines.append(str(title))
    return "\n".join(lines)
