"""Which fields of a passage are searched: its text, and what stands above it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

SearchField = Literal["title", "section", "text"]
"""`title` is that of the document, `section` the headings that the passage stands under, outermost first."""

DEFAULT_FIELDS: tuple[SearchField, ...] = ("title", "text")
"""Title and text are what published BM25 and dense results on BEIR are measured with (Thakur et al. 2021, BEIR)."""


def searched_text(text: str, metadata: Mapping[str, Any], fields: Sequence[SearchField] = DEFAULT_FIELDS) -> str:
    """Return what the parts of an index get to see of a passage: the fields, a line each.

    What is shown to readers and cited stays the text alone. A title that the text begins with is not put before it
    again, and fields that a passage lacks are left out; an empty text (a deleted passage) stays empty.

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
        elif (title := str(metadata.get("title") or "")) and not text.startswith(title):
            lines.append(title)
    return "\n".join(lines)
