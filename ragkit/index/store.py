"""The passages of an index in an SQLite file, found by position, by id, or by what their metadata say."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragkit.engine.state import Passage
from ragkit.errors import InputError
from ragkit.index.filters import INDEXED_FIELDS, Filter
from ragkit.index.part import Selection

SCHEMA = """
CREATE TABLE passages (position INTEGER PRIMARY KEY, id TEXT NOT NULL, metadata TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE parents (number INTEGER PRIMARY KEY, id TEXT NOT NULL, metadata TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE documents (
    id TEXT PRIMARY KEY, file TEXT NOT NULL, hash BLOB NOT NULL,
    first INTEGER NOT NULL, stop INTEGER NOT NULL, first_parent INTEGER NOT NULL, stop_parent INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE files (id TEXT PRIMARY KEY, report TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE clashes (file TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (file, id)) WITHOUT ROWID;
CREATE TABLE holes (position INTEGER PRIMARY KEY);
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
"""
"""Texts come last in a row, so that looking at metadata does not read them. A document's passages stand side by side at
first, ..., stop - 1; `holes` are the positions of deleted ones; `clashes` are documents of a file that were left out
because an earlier file has their id."""

INDEXES = (
    "CREATE INDEX IF NOT EXISTS passage_ids ON passages (id)",
    "CREATE INDEX IF NOT EXISTS parent_ids ON parents (id)",
    "CREATE INDEX IF NOT EXISTS document_files ON documents (file)",
    *(
        f"CREATE INDEX IF NOT EXISTS passage_{name} ON passages (json_extract(metadata, '$.\"{name}\"'))"
        for name in INDEXED_FIELDS
    ),
)
_VARIABLES = 500


class PassageStore:
    """The passages of a finished store, read-only; it can be read from any thread.

    Raises:
        InputError: the file is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        # SQLite itself serialises the calls; immutable: nothing writes to a finished index.
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        try:
            self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
            self._facts = dict(self._connection.execute("SELECT name, value FROM facts"))
            self._connection.execute("SELECT id, text, metadata FROM passages LIMIT 1")
        except sqlite3.DatabaseError as error:
            raise InputError(f"{path} is damaged ({error}); delete the folder and rebuild the index") from None

    def __len__(self) -> int:
        """Return the number of positions, those of deleted passages too."""
        return int(self._facts["positions"])

    @property
    def passages(self) -> int:
        """The number of passages."""
        return len(self) - int(self._facts["holes"])

    @property
    def corpus(self) -> str:
        """SHA-256 over the hashes of all documents in the order of their ids: the same for the same documents."""
        return str(self._facts["corpus"])

    @property
    def layout(self) -> str:
        """SHA-256 over the documents in the order in which they came and went: the same for the same positions."""
        return str(self._facts["layout"])

    def read(self, start: int, stop: int) -> list[str]:
        """Return the texts at positions start, ..., stop - 1; '' where there is no passage any more."""
        texts = [""] * (stop - start)
        query = "SELECT position, text FROM passages WHERE position >= ? AND position < ?"
        for position, text in self._connection.execute(query, (start, stop)):
            texts[position - start] = text
        return texts

    def read_with_metadata(self, start: int, stop: int) -> list[tuple[str, dict[str, Any]]]:
        """Return texts and metadata at positions start, ..., stop - 1; '' and {} where there is no passage any more."""
        found: list[tuple[str, dict[str, Any]]] = [("", {})] * (stop - start)
        query = "SELECT position, text, metadata FROM passages WHERE position >= ? AND position < ?"
        for position, text, metadata in self._connection.execute(query, (start, stop)):
            found[position - start] = (text, json.loads(metadata))
        return found

    def ids(self, positions: Iterable[int]) -> dict[int, str]:
        """Return the ids of the passages at some positions."""
        return dict(self._select("position, id", "passages", "position", list(positions)))

    def get(self, ids: Sequence[str]) -> dict[str, Passage]:
        """Return passages by id; unknown ids are left out."""
        return {row[0]: _passage(*row) for row in self._select("id, text, metadata", "passages", "id", ids)}

    def parents(self, ids: Sequence[str]) -> dict[str, Passage]:
        """Return parents, which are read and never searched, by id; unknown ids are left out."""
        return {row[0]: _passage(*row) for row in self._select("id, text, metadata", "parents", "id", ids)}

    def holes(self) -> NDArray[np.int64]:
        """Return the positions of deleted passages, ascending."""
        return self._column("SELECT position FROM holes ORDER BY position")

    def matching(self, condition: Filter) -> Selection:
        """Return which positions hold a passage that a filter lets through."""
        text, values = condition.sql()
        selection = np.zeros(len(self), np.bool_)
        query = f"SELECT position FROM passages WHERE {text}"  # noqa: S608 - names and marks; fields and values are bound
        selection[self._column(query, values)] = True
        return selection

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _column(self, query: str, values: Sequence[Any] = ()) -> NDArray[np.int64]:
        return np.fromiter((row[0] for row in self._connection.execute(query, values)), np.int64)

    def _select(self, columns: str, table: str, key: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        for start in range(0, len(values), _VARIABLES):
            part = values[start : start + _VARIABLES]
            marks = ",".join("?" * len(part))
            query = f"SELECT {columns} FROM {table} WHERE {key} IN ({marks})"  # noqa: S608 - fixed names and marks
            rows += self._connection.execute(query, part).fetchall()
        return rows


def _passage(name: str, text: str, metadata: str) -> Passage:
    return Passage(id=name, page_content=text, metadata=json.loads(metadata))
