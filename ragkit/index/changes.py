"""Changes to an index that is filled in Python and not from files: langchain documents, added, replaced, deleted."""

from collections.abc import Sequence

from langchain_core.documents import Document

from ragkit.documents import Block, ChunkedDocument, Chunking, Page, SourceDocument, Unreadable, cut
from ragkit.errors import InputError
from ragkit.index.build import Write
from ragkit.index.store_writer import TAKEN, StoreWriter

NO_FILE = ""
"""The file that documents without a file belong to."""


def adding(documents: Sequence[Document], chunking: Chunking, *, replace: bool = False) -> Write:
    """Return what adds documents, or replaces the ones with their ids.

    Raises:
        InputError: something is no document, or has no id or no text. The change itself raises it for an id that is
            there already, for one that is to be replaced and is not there, and for metadata that are no JSON; then
            nothing is changed.
    """
    for number, document in enumerate(documents, 1):
        if not isinstance(document, Document):
            raise InputError(
                f"document {number} of {len(documents)} is a {type(document).__name__}, not a langchain Document"
            )
        if not document.id:
            raise InputError(f"document {number} of {len(documents)} has no id: Document(id=..., page_content=...)")
        if not document.page_content.strip():
            raise InputError(f"document '{document.id}' holds no text")

    def write(writer: StoreWriter) -> None:
        if replace:
            _expire(writer, [str(document.id) for document in documents])
        for document in documents:
            try:
                kept = writer.put(NO_FILE, str(document.id), _cut(document, chunking))
            except Unreadable as reason:
                hint = "; replace() changes it" if str(reason).endswith(TAKEN) else ""
                raise InputError(f"document '{document.id}': {reason}{hint}") from None
            if not kept:
                raise InputError(f"document '{document.id}' holds no text")

    return write


def deleting(ids: Sequence[str]) -> Write:
    """Return what deletes documents; it raises InputError for ids that are not there."""
    return lambda writer: _expire(writer, ids)


def _expire(writer: StoreWriter, ids: Sequence[str]) -> None:
    if missing := writer.expire_documents(ids):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(f"the index has no document '{missing[0]}'{more}")


def _cut(document: Document, chunking: Chunking) -> ChunkedDocument:
    name = str(document.id)
    metadata = {"source": name} | document.metadata | {"document": name}
    source = SourceDocument(name, (Page(None, (Block(document.page_content),)),), metadata)
    return cut(source, chunking)
