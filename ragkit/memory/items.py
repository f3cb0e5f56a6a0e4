"""What a memory keeps of a passage, and under which key."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from ragkit.engine.state import Passage
from ragkit.errors import InputError
from ragkit.index.dense.embedding import Vectors
from ragkit.index.fields import searched_text

MemoryField = Literal["query", "title", "section", "text"]
"""What of a passage queries are compared with; `query` is the one that brought it."""

_PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True)
class Item:
    """A passage that is to be remembered, or is.

    Attributes:
        key: what it is known by; see `key_of`.
        passage: id, text and metadata, without score and hits.
        title: what queries are compared with.
        query: the query that brought it.
        stored: when it was stored, in seconds since 1970; 0 before that.
    """

    key: str
    passage: Passage
    title: str
    query: str = ""
    stored: float = 0.0

    @classmethod
    def of(cls, passage: Passage, fields: Sequence[MemoryField]) -> "Item":
        """Return what is kept of a passage.

        Raises:
            InputError: its metadata are no JSON.
        """
        bare = Passage(id=passage.id, page_content=passage.page_content, metadata=_json(passage))
        query = passage.hits[0].query if passage.hits else ""
        return cls(key_of(passage.id), bare, title_of(passage, fields), query)

    def to_row(self) -> dict[str, Any]:
        """Return the item as a line of an export."""
        passage = self.passage
        return {
            "id": passage.id,
            "title": self.title,
            "text": passage.page_content,
            "metadata": passage.metadata,
            "query": self.query,
            "stored": self.stored,
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Item":
        """Read a line of an export.

        Raises:
            ValueError: a field is missing or of another type.
        """
        try:
            texts = {name: row[name] for name in ("id", "title", "text")}
        except (KeyError, TypeError) as error:
            raise ValueError(f"it has no {error}") from None
        metadata, stored = row.get("metadata", {}), row.get("stored", 0.0)
        if not all(isinstance(text, str) and text for text in texts.values()) or not isinstance(metadata, dict):
            raise ValueError("'id', 'title' and 'text' are texts, 'metadata' is a mapping")
        if not isinstance(stored, (int, float)):
            raise ValueError("'stored' is a number of seconds")
        passage = Passage(id=texts["id"], page_content=texts["text"], metadata=metadata)
        return cls(key_of(passage.id), passage, texts["title"], str(row.get("query", "")), float(stored))


@dataclass(frozen=True, slots=True)
class Stored:
    """What a question stores: items, and the vectors of their titles, a row each, of length 1."""

    items: tuple[Item, ...]
    vectors: Vectors = field(repr=False)


@dataclass(frozen=True, slots=True)
class Used:
    """Items that a question recalled, by key."""

    keys: tuple[str, ...]


def key_of(identifier: str) -> str:
    """Return what a passage is known by: its id, and where that is the address of a page, one spelling of it.

    Titles are no keys: different pages share them, and one page may have several.
    """
    scheme, _, rest = identifier.partition("://")
    if scheme.lower() not in _PORTS or not rest:
        return identifier
    try:
        parts = urlsplit(identifier)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # looks like an address and is none
        return identifier
    place = host if port is None or str(port) == _PORTS[parts.scheme] else f"{host}:{port}"
    return urlunsplit((parts.scheme, place, parts.path.rstrip("/"), parts.query, ""))


def title_of(passage: Passage, fields: Sequence[MemoryField]) -> str:
    """Return what queries are compared with: the fields of a passage, or its text where it has none of them."""
    text = passage.page_content
    brought_by = passage.hits[0].query if "query" in fields and passage.hits else ""
    named = searched_text(text, passage.metadata, [field for field in fields if field != "query"])
    return "\n".join(filter(None, (brought_by, named))) or text


def _json(passage: Passage) -> dict[str, Any]:
    try:
        metadata: dict[str, Any] = json.loads(json.dumps(passage.metadata, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"the passage '{passage.id}' cannot be stored: its metadata are no JSON ({error})") from None
    return metadata
