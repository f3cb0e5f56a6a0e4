"""The passages of an index in an SQLite file, found by position or by id."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ragkit.engine.state import Passage
from ragkit.errors import InputError

_VARIABLES = 500


def write_store(path: Path, passages: Iterable[Passage]) -> None:
    """Write passages; their positions are 0, 1, 2 ... in the given order.

    Raises:
        InputError: two passages have the same id.
    """
    connection = sqlite3.connect(path)
    try:
        connection.execute(
            "CREATE TABLE passages (position INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, text TEXT, metadata TEXT)"
        )
        rows = (
            (position, passage.id, passage.page_content, json.dumps(passage.metadata))
            for position, passage in enumerate(passages)
        )
        for row in rows:
            try:
                connection.execute("INSERT INTO passages VALUES (?, ?, ?, ?)", row)
            except sqlite3.IntegrityError:
                raise InputError(
                    f"documents: two passages have the id '{row[1]}'; rename one of the documents"
                ) from None
        connection.commit()
    finally:
        connection.close()


class PassageStore:
    """Passages by position or id, read-only; it can be read from any thread.

    Raises:
        InputError: the file is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        # SQLite itself serialises the calls; immutable: nothing writes to a finished index.
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        try:
            self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
            self._connection.execute("SELECT id, text, metadata FROM passages LIMIT 1")
        except sqlite3.DatabaseError as error:
            raise InputError(f"{path} is damaged ({error}); delete the folder and rebuild the index") from None

    def ids(self, positions: Iterable[int]) -> dict[int, str]:
        """Return the ids of the passages at some positions."""
        return dict(self._select("position, id", "position", list(positions)))

    def get(self, ids: Sequence[str]) -> dict[str, Passage]:
        """Return passages by id; unknown ids are left out."""
        rows = self._select("id, text, metadata", "id", ids)
        return {name: Passage(id=name, page_content=text, metadata=json.loads(data)) for name, text, data in rows}

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _select(self, columns: str, key: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        for start in range(0, len(values), _VARIABLES):
            part = values[start : start + _VARIABLES]
            marks = ",".join("?" * len(part))
            query = f"SELECT {columns} FROM passages WHERE {key} IN ({marks})"  # noqa: S608 - fixed names and marks
            rows += self._connection.execute(query, part).fetchall()
        return rows
