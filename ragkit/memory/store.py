"""The items of a memory in an SQLite file, beside the files of their vectors.

Everything that is written becomes part of the memory when the database commits, whole or not at all: vectors come to
positions that no committed item has before that, and a kill leaves them without an owner. The database's write lock
lets one process write at a time; what another has committed in between is kept, and the new items come behind it.
Readers see one state of the database until they look again.
"""

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragkit.engine.state import Passage
from ragkit.errors import InputError, RagkitError
from ragkit.index.dense.embedding import Vectors
from ragkit.memory.items import Item, Stored, Used
from ragkit.memory.vectors import Matches, VectorFiles, VectorView
from ragkit.memory.writing import Facts, Limits, Writing, marks, parts, read_facts, write_facts

DATABASE = "memory.sqlite"
FORMAT = 2
_SCHEMA = """
CREATE TABLE items (
    position INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, title TEXT NOT NULL, query TEXT NOT NULL,
    stored REAL NOT NULL, used INTEGER NOT NULL, id TEXT NOT NULL, metadata TEXT NOT NULL, text TEXT NOT NULL
);
CREATE INDEX items_stored ON items (stored);
CREATE INDEX items_used ON items (used, position);
CREATE TABLE holes (number INTEGER PRIMARY KEY, position INTEGER NOT NULL);
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
"""
_COLUMNS = "key, title, query, stored, id, metadata, text"
_ROWS = 16_384
_ATTEMPTS = 5
_PATIENCE = 120.0  # seconds that another process may write


class ItemStore:
    """The items and vectors of a memory's folder. Can be used from any thread; opens in well under a second.

    Args:
        folder: made if need be.
        settings: what the memory is made with (encoder, fields ...), as JSON data; None for what it was made with.
        limits: what is forgotten.

    Raises:
        InputError: the memory was made with other settings (which is said), or its files are damaged.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any] | None, limits: Limits | None = None) -> None:
        self.folder = folder
        self._limits = limits or Limits()
        self._busy = threading.RLock()
        if settings is None and not (folder / DATABASE).exists():
            raise InputError(f"{folder} holds no memory")
        folder.mkdir(parents=True, exist_ok=True)
        with self._explained():
            self._writer = _connect(folder / DATABASE)
            self._create(json.loads(json.dumps(settings)))
            self._reader = _connect(folder / DATABASE)
        self._view: VectorView | None = None
        self._facts = Facts(FORMAT, {})
        self.refresh()

    @property
    def facts(self) -> Facts:
        """What the memory holds, as of the last `refresh`."""
        return self._facts

    @property
    def state(self) -> str:
        """What lookups depend on, as of the last `refresh`: everything written, and what has expired."""
        if not len(self._expired):
            return self._facts.state
        return hashlib.sha256(self._facts.state.encode() + self._expired.tobytes()).hexdigest()

    def refresh(self) -> None:
        """See what has been committed since, here and by other processes."""
        with self._busy, self._explained():
            for attempt in range(_ATTEMPTS):
                try:
                    self._look()
                except FileNotFoundError as error:  # another process has just written the files anew
                    if attempt + 1 == _ATTEMPTS:
                        raise InputError(f"{error.filename} is missing; delete {self.folder} to start anew") from None
                else:
                    return

    def _look(self) -> None:
        if self._reader.in_transaction:
            self._reader.execute("COMMIT")
        self._reader.execute("BEGIN")
        facts = read_facts(self._reader)
        if self._view is None or (facts.generation, facts.dimension) != (self._facts.generation, self._facts.dimension):
            self._view = VectorView(VectorFiles(self.folder, facts.generation, facts.dimension), facts.positions)
            self._deleted, self._holes = np.zeros(facts.positions, np.bool_), 0
        else:
            self._view.grow(facts.positions)
            added = facts.positions - len(self._deleted)
            self._deleted = np.concatenate([self._deleted, np.zeros(added, np.bool_)])
        holes = self._reader.execute("SELECT position, number FROM holes WHERE number > ?", (self._holes,)).fetchall()
        self._deleted[[position for position, _ in holes]] = True
        self._holes = holes[-1][1] if holes else self._holes
        self._expired = np.empty(0, np.int64)
        if self._limits.ttl is not None:
            query = "SELECT position FROM items WHERE stored < ? ORDER BY position"
            rows = self._reader.execute(query, (time.time() - self._limits.ttl,))
            self._expired = np.fromiter((row[0] for row in rows), np.int64)
        self._facts = facts

    def __len__(self) -> int:
        """Return the number of items that can be found."""
        return self._facts.items - len(self._expired)

    def match(self, query: Vectors, tau: float) -> tuple[list[tuple[str, float]], NDArray[np.int64]]:
        """Return key and cosine of every item at or above `tau`, in the order in which they came, and their positions.

        Args:
            query: a vector of length 1.
            tau: the lowest cosine.
        """
        with self._busy, self._explained():
            positions, cosines = self._alive(self._opened().match(query, tau))
            rows = self._select("position, key", "position", positions.tolist())
            keys = dict(rows)
            return [(keys[p], c) for p, c in zip(positions.tolist(), cosines.tolist(), strict=True)], positions

    def gram(self, positions: NDArray[np.int64]) -> Vectors:
        """Return the cosines of items' titles with one another, by position, shape (n, n)."""
        with self._busy:
            return self._opened().gram(positions)

    def get(self, keys: Sequence[str]) -> dict[str, Item]:
        """Return items by key; unknown keys are left out."""
        with self._busy, self._explained():
            return {row[0]: _item(row) for row in self._select(_COLUMNS, "key", list(keys))}

    def vector(self, item: Item) -> Vectors | None:
        """Return the vector of an item's title if it is known already."""
        with self._busy, self._explained():
            query = "SELECT position, title FROM items WHERE key = ?"
            row = self._reader.execute(query, (item.key,)).fetchone()
            return self._opened().row(row[0]) if row and row[1] == item.title else None

    def items(self) -> Iterator[Item]:
        """Return all items in the order in which they came."""
        last = -1
        while True:
            with self._busy, self._explained():
                query = f"SELECT {_COLUMNS}, position FROM items WHERE position > ? ORDER BY position LIMIT ?"  # noqa: S608 - fixed names
                rows = self._reader.execute(query, (last, _ROWS)).fetchall()
            yield from map(_item, rows)
            if not rows:
                return
            last = rows[-1][-1]

    def times(self) -> tuple[float, float] | None:
        """Return when the oldest and the newest item were stored, in seconds since 1970; None if there is none."""
        with self._busy, self._explained():
            oldest, newest = self._reader.execute("SELECT min(stored), max(stored) FROM items").fetchone()
            return None if oldest is None else (oldest, newest)

    def apply(self, changes: Iterable[Stored | Used]) -> None:
        """Write what questions stored and used, all of it or nothing, and look at the result.

        An item with a known key replaces the one that is there. What is too old or too much is forgotten.
        """
        with self._busy, self._explained():
            with self._transaction() as write:
                for change in changes:
                    if isinstance(change, Used):
                        write.use(change.keys)
                    else:
                        write.put(change)
                write.forget(self._limits)
            self.refresh()

    def forget(self, keys: Sequence[str]) -> int:
        """Delete items by key; return how many there were."""
        with self._busy, self._explained():
            with self._transaction() as write:
                gone = write.delete(keys)
            self.refresh()
            return gone

    def clear(self) -> None:
        """Delete everything."""
        with self._busy, self._explained():
            with self._transaction() as write:
                write.clear()
            self.refresh()

    def close(self) -> None:
        """Close the files."""
        with self._busy:
            self._reader.close()
            self._writer.close()
            self._view = None

    @contextmanager
    def _transaction(self) -> Iterator[Writing]:
        """Hold the memory against other writers; what is written is there afterwards, or nothing of it."""
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            writing = Writing(self._writer, self.folder)
            yield writing
            replaced = writing.finish()
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise
        if replaced is not None:
            replaced.remove()

    def _create(self, settings: dict[str, Any] | None) -> None:
        """Make the tables unless they are there, and see that the memory was made with the settings in hand."""
        db = self._writer
        db.execute("BEGIN IMMEDIATE")
        try:
            if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    db.execute(statement)
                write_facts(db, Facts(FORMAT, settings or {}))
            facts = read_facts(db)
            if settings is not None and not facts.positions:  # what holds nothing can become another memory
                facts = facts._replace(settings=settings)
                write_facts(db, facts)
        finally:
            db.execute("COMMIT")
        if facts.format != FORMAT:
            raise InputError(f"{self.folder}: the memory has format {facts.format}, this version reads {FORMAT}")
        for name in sorted(facts.settings.keys() | (settings or {}).keys()) if settings is not None else ():
            found, wanted = facts.settings.get(name), settings.get(name) if settings else None
            if found != wanted:
                raise InputError(
                    f"the memory in {self.folder} was made with {name} {json.dumps(found)}, the settings say "
                    f"{json.dumps(wanted)}: take another 'path', or export the memory, clear it and import it again"
                )

    def _opened(self) -> VectorView:
        assert self._view is not None  # noqa: S101 - set by refresh()
        return self._view

    def _alive(self, matches: Matches) -> Matches:
        positions, cosines = matches
        alive = ~self._deleted[positions] & ~np.isin(positions, self._expired)
        return positions[alive], cosines[alive]

    def _select(self, columns: str, key: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        for part in parts(values):
            query = f"SELECT {columns} FROM items WHERE {key} IN ({marks(part)})"  # noqa: S608 - fixed names and marks
            rows += self._reader.execute(query, part).fetchall()
        return rows

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what a failure of SQLite means for the user."""
        path = self.folder / DATABASE
        try:
            yield
        except sqlite3.OperationalError as error:
            raise RagkitError(f"{path}: the memory cannot be used now ({error}); check disk and permissions") from None
        except sqlite3.DatabaseError as error:
            raise InputError(f"{path}: the memory is damaged ({error}); delete {self.folder} to start anew") from None


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_PATIENCE, check_same_thread=False, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    return db


def _item(row: Sequence[Any]) -> Item:
    key, title, query, stored, name, metadata, text = row[:7]
    return Item(key, Passage(id=name, page_content=text, metadata=json.loads(metadata)), title, query, stored)
