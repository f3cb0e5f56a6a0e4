"""Cut documents into passages with ids that stay the same from run to run."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ragkit.documents.chunking.layout import cut_layout
from ragkit.documents.chunking.length import Length, estimate_tokens
from ragkit.documents.chunking.parents import parents
from ragkit.documents.chunking.parts import Part, Piece, piece, place, texts
from ragkit.documents.chunking.sentences import cut_sentences
from ragkit.documents.chunking.settings import Chunking
from ragkit.documents.chunking.tokens import cut_tokens
from ragkit.documents.document import ChunkedDocument, Page, SourceDocument
from ragkit.engine.state import Passage

Chunker = Callable[[str, Sequence[Part], Chunking, Length], list[Piece]]


def cut(document: SourceDocument, settings: Chunking, length: Length = estimate_tokens) -> ChunkedDocument:
    """Cut a document into passages, never across pages.

    The text stays as it is. Ids are `<document>#p<page>.c<n>` for paged documents, `<document>.c<n>` for others, and
    the document's id where an unpaged document is one passage; parents are `<document>#p<page>` if they are the page,
    else `<document>#p<page>.s<n>` or `<document>.s<n>`. Metadata: the document's, `page` (from 1), `box` (the union of
    the blocks), `section` (the headings above, outermost first), `kind` (`table` or `figure`), `parent`.

    Args:
        document: what a loader returned.
        settings: where passages end.
        length: counts the tokens of a text.
    """
    passages: list[Passage] = []
    larger: list[Passage] = []
    for page, (text, parts) in texts(document):
        found = list(_cut_page(text, parts, page, settings, length))
        number = 0
        total = sum(len(pieces) for _, pieces in found)
        for count, (parent, pieces) in enumerate(found):
            known: dict[str, Any] = {}
            if parent is not None and pieces:
                whole_page = page.number is not None and settings.parent is not None and settings.parent.by == "page"
                name = _prefix(document, page) + ("" if whole_page else f".s{count}")
                larger.append(_passage(document, name, page, parts, parent, {}))
                known = {"parent": name}
            for made in pieces:
                name = _prefix(document, page)
                if page.number is not None or total > 1:
                    name += f".c{number}"
                passages.append(_passage(document, name, page, parts, made, known))
                number += 1
    return ChunkedDocument(tuple(passages), tuple(larger))


def _cut_page(
    text: str, parts: list[Part], page: Page, settings: Chunking, length: Length
) -> Iterator[tuple[Piece | None, list[Piece]]]:
    """Return each parent (None where passages are read as they are found) with the pieces cut from it."""
    chunker = _CHUNKERS[settings.by if page.number is not None or settings.by != "page" else "layout"]
    if settings.parent is None:
        yield None, chunker(text, parts, settings, length)
        return
    for stretch in parents(text, parts, page.number is not None, settings.parent, length):
        yield piece(text, stretch[0].start, stretch[-1].end), chunker(text, stretch, settings, length)


def _whole(text: str, parts: Sequence[Part], settings: Chunking, length: Length) -> list[Piece]:
    """Return the page as one piece."""
    whole = piece(text, parts[0].start, parts[-1].end) if parts else None
    return [whole] if whole else []


_CHUNKERS: dict[str, Chunker] = {
    "tokens": cut_tokens,
    "sentences": cut_sentences,
    "layout": cut_layout,
    "page": _whole,
}


def _prefix(document: SourceDocument, page: Page) -> str:
    return document.id if page.number is None else f"{document.id}#p{page.number}"


def _passage(
    document: SourceDocument, name: str, page: Page, parts: Sequence[Part], made: Piece, known: dict[str, Any]
) -> Passage:
    # A row may have a field of this name; here it names a passage of the index.
    own = {key: value for key, value in document.metadata.items() if key != "parent"}
    return Passage(id=name, page_content=made.text, metadata=own | place(page, parts, made) | known)
