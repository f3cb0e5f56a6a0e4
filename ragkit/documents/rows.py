"""JSONL: every line a document `{id, text, title?, ...}`; `.jsonl.gz` is read the same way.

The rows of BEIR (`_id` in the place of `id`) and of FlashRAG (`contents` in the place of `text`: the title, a line
break, the text) are read as they are.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ragkit.documents.document import Block, IngestReport, Page, SourceDocument, SourceFile, Unreadable
from ragkit.documents.text import clean

_NAMED = 8


def read_rows(file: SourceFile, report: IngestReport) -> Iterator[SourceDocument]:
    """Read a document per line; a bad line is noted in the report as `file:line` and left out.

    Further fields of a row become metadata; `source` is the file's stem and `document` the row's id whatever the row
    says.

    Raises:
        Unreadable: the compressed file is damaged (the rows before the damage have been handed out).
    """
    stem = Path(file.path.name.removesuffix(".gz")).stem
    for number, line in _lines(file.path):
        if not line.strip():
            continue
        try:
            yield _document(line, stem)
        except Unreadable as reason:
            report.skip(f"{file.id}:{number}", str(reason))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as lines:
        try:
            yield from enumerate(lines, start=1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise Unreadable(f"the compressed file is damaged: {error}") from None


def _document(line: bytes, stem: str) -> SourceDocument:
    row = _parse(line)
    identifier = _take(row, "id", "_id")
    if isinstance(identifier, bool) or not isinstance(identifier, (str, int)) or identifier == "":
        raise Unreadable("'id' is neither a text nor a whole number, or empty")
    text = _take(row, "text", "contents")
    if not isinstance(text, str):
        raise Unreadable("'text' is not a text")
    if not text.strip():
        raise Unreadable("'text' is empty")
    name = clean(str(identifier))
    metadata = row | {"source": stem, "document": name}
    return SourceDocument(name, (Page(None, (Block(clean(text)),)),), metadata)


def _take(row: dict[str, Any], name: str, other: str) -> Any:
    """Take a field out of a row by its name or by the one that BEIR or FlashRAG gives it."""
    if name in row:
        return row.pop(name)
    if other not in row:
        found = ", ".join(list(row)[:_NAMED]) + (", ..." if len(row) > _NAMED else "")
        raise Unreadable(f"'{name}' is missing" + (f" (the row has {found})" if found else ""))
    value = row.pop(other)
    if other == "contents" and isinstance(value, str):
        title, newline, text = value.strip().partition("\n")
        if newline and "title" not in row:
            row["title"] = title.strip().strip('"')
            return text
    return value


def _parse(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise Unreadable("not UTF-8") from None
    except json.JSONDecodeError as error:
        raise Unreadable(f"not JSON: {error.msg} at column {error.colno}") from None
    except (RecursionError, ValueError) as error:
        raise Unreadable(f"not JSON that can be read: {error}") from None
    if not isinstance(row, dict):
        raise Unreadable("not a JSON object")
    return row
