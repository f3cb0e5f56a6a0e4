"""Search small, read large: the larger stretches of a page that passages are cut from."""

from collections.abc import Iterable, Iterator, Sequence

from ragkit.documents.chunking.layout import groups
from ragkit.documents.chunking.length import Length
from ragkit.documents.chunking.parts import Part
from ragkit.documents.chunking.settings import ParentSettings
from ragkit.documents.chunking.tokens import split


def parents(
    text: str, parts: Sequence[Part], paged: bool, settings: ParentSettings, length: Length
) -> list[list[Part]]:
    """Return the parts of each parent on a page, in order.

    Args:
        text: the text of the page.
        parts: its parts in order.
        paged: whether the document has pages; one without them may be one endless page.
        settings: what a parent is.
        length: counts the tokens of a text.
    """
    if settings.by == "page" and paged:
        return [list(parts)] if parts else []
    stretches = groups(parts, apart=False) if settings.by == "section" else [list(parts)]
    return [packed for stretch in stretches for packed in _packed(text, stretch, settings.size, length)]


def _packed(text: str, parts: Iterable[Part], size: int, length: Length) -> Iterator[list[Part]]:
    """Put parts together up to `size` tokens, and cut those that are longer; tables and figures stay whole."""
    pack: list[Part] = []
    filled = 0
    for part in (short for long in parts for short in _short(text, long, size, length)):
        tokens = length(text[part.start : part.end])
        if pack and filled + tokens > size:
            yield pack
            pack, filled = [], 0
        pack.append(part)
        filled += tokens
    if pack:
        yield pack


def _short(text: str, part: Part, size: int, length: Length) -> list[Part]:
    if part.block.kind in ("table", "figure"):
        return [part]
    return [part._replace(start=cut.start, end=cut.end) for cut in split(text, part.start, part.end, size, 0, length)]
