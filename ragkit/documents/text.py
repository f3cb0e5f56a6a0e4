"""Plain text, and the cleaning of text that every format shares."""

import re
from collections.abc import Iterator, Sequence

from ragkit.documents.document import Block, IngestReport, Page, SourceDocument, SourceFile, Unreadable


def clean(text: str) -> str:
    """Make text storable: joined surrogate pairs, U+FFFD for lone surrogates, no NUL characters."""
    if not text.isascii():
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\0", "")


def decode(data: bytes) -> str:
    """Decode UTF-8, or UTF-16 with a byte order mark.

    Raises:
        Unreadable: it is neither.
    """
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise Unreadable(f"not UTF-8 text (byte {error.start} cannot be decoded)") from None
    if "\0" in text:
        raise Unreadable("not text: it holds NUL characters")
    return text


def unpaged(file: SourceFile, blocks: Sequence[Block], title: str | None) -> SourceDocument:
    """Return a document without pages or boxes.

    Raises:
        Unreadable: it holds no text.
    """
    filled = tuple(block for block in blocks if block.text.strip())
    if not filled:
        raise Unreadable("it holds no text")
    metadata = {"source": file.id, "document": file.id} | ({"title": title} if title else {})
    return SourceDocument(file.id, (Page(None, filled),), metadata)


def read_text(file: SourceFile, report: IngestReport) -> Iterator[SourceDocument]:
    """Read a text file as one document; blank lines part its blocks."""
    text = decode(file.path.read_bytes()).replace("\r\n", "\n")
    yield unpaged(file, [Block(block) for block in re.split(r"\n\s*\n", text.strip())], None)
