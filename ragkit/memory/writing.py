"""Changing a memory: one transaction of its database, with the vectors that belong to it."""

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ragkit.errors import RagkitError
from ragkit.index.dense.embedding import Vectors
from ragkit.memory.items import Item, Stored
from ragkit.memory.vectors import VectorFiles

MOST_HOLES = 0.3
"""The share of positions without an item from which on the files are written anew, without them."""

_FEW = 1_000
_BLOCK = 16_384
_KEYS_PER_QUERY = 500
_PACK = (
    "CREATE TEMP TABLE moved AS SELECT row_number() OVER (ORDER BY position) - 1 AS place, position FROM items",
    "CREATE INDEX temp.moved_from ON moved (position)",
    "UPDATE items SET position = -1 - position",
    "UPDATE items SET position = (SELECT place FROM moved WHERE moved.position = -1 - items.position)",
    "DROP TABLE moved",
    "DELETE FROM holes",
)


class Limits(NamedTuple):
    """What a memory forgets by itself: items older than so many seconds, the least recently used beyond a number."""

    ttl: float | None = None
    max_items: int | None = None


class Facts(NamedTuple):
    """What the database of a memory says of itself.

    Attributes:
        format: version of the files.
        settings: what the memory was made with (`encoder`, `fields`), as JSON data.
        generation: of the files of vectors.
        dimension: of the vectors; 0 before the first one.
        positions: rows of the files that count, those of deleted items too.
        items: how many items there are.
        state: a hash of all that was written and deleted since it was new, in this order; no times are in it.
        clock: how many times something was written.
    """

    format: int
    settings: dict[str, Any]
    generation: int = 0
    dimension: int = 0
    positions: int = 0
    items: int = 0
    state: str = ""
    clock: int = 0


def read_facts(db: sqlite3.Connection) -> Facts:
    """Return what a database says of itself."""
    rows = dict(db.execute("SELECT name, value FROM facts"))
    return Facts(**(rows | {"settings": json.loads(rows["settings"])}))


def write_facts(db: sqlite3.Connection, facts: Facts) -> None:
    """Let a database say this of itself."""
    rows = facts._asdict() | {"settings": json.dumps(facts.settings, sort_keys=True)}
    db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", rows.items())


class Writing:
    """What is done in one transaction; the caller begins and commits it."""

    def __init__(self, db: sqlite3.Connection, folder: Path) -> None:
        self._db, self._folder = db, folder
        self._before = read_facts(db)
        self._facts = self._before._replace(clock=self._before.clock + 1)
        self._state = hashlib.sha256(self._before.state.encode())
        self._changed = False
        self._vectors: list[Vectors] = []

    def put(self, stored: Stored) -> None:
        """Add items, or replace those that have their keys."""
        for item, vector in zip(stored.items, stored.vectors, strict=True):
            self._put(item, vector)

    def use(self, keys: Sequence[str]) -> None:
        """Note that items were recalled."""
        for part in parts(keys):
            query = f"UPDATE items SET used = ? WHERE key IN ({marks(part)})"  # noqa: S608 - question marks
            self._db.execute(query, (self._facts.clock, *part))

    def delete(self, keys: Sequence[str]) -> int:
        """Delete items by key; return how many there were."""
        gone = 0
        for part in parts(keys):
            gone += self._delete(f"key IN ({marks(part)})", part)
        return gone

    def forget(self, limits: Limits) -> None:
        """Delete what is too old, and what was used least recently where there is too much."""
        if limits.ttl is not None:
            self._delete("stored < ?", (time.time() - limits.ttl,))
        if limits.max_items is not None and self._facts.items > limits.max_items:
            chosen = "position IN (SELECT position FROM items ORDER BY used, position LIMIT ?)"
            self._delete(chosen, (self._facts.items - limits.max_items,))

    def clear(self) -> None:
        """Delete everything; the memory is as new, so that what is cached of another new one counts."""
        self._db.execute("DELETE FROM items")
        self._db.execute("DELETE FROM holes")
        self._state, self._changed, self._vectors = hashlib.sha256(), False, []
        generation = self._facts.generation + 1
        self._facts = self._facts._replace(generation=generation, dimension=0, positions=0, items=0, state="")

    def finish(self) -> VectorFiles | None:
        """Write the vectors and the facts; return the files that are not needed once this is committed."""
        facts = self._facts
        if self._vectors:
            first = facts.positions - len(self._vectors)
            VectorFiles(self._folder, facts.generation, facts.dimension).write(first, np.stack(self._vectors))
        holes = facts.positions - facts.items
        if holes > _FEW and holes > MOST_HOLES * facts.positions:
            self._pack()
        if self._changed:
            self._facts = self._facts._replace(state=self._state.hexdigest())
        write_facts(self._db, self._facts)
        if self._facts.generation == self._before.generation:
            return None
        return VectorFiles(self._folder, self._before.generation, self._before.dimension)

    def _put(self, item: Item, vector: Vectors) -> None:
        metadata = json.dumps(item.passage.metadata, ensure_ascii=False, sort_keys=True)
        content = (item.passage.id, metadata, item.passage.page_content)
        stored = item.stored or time.time()
        query = "SELECT position, title, id, metadata, text FROM items WHERE key = ?"
        known = self._db.execute(query, (item.key,)).fetchone()
        if known is not None and known[1] == item.title:
            row = (item.query, stored, self._facts.clock, *content, known[0])
            self._db.execute(
                "UPDATE items SET query=?, stored=?, used=?, id=?, metadata=?, text=? WHERE position=?", row
            )
            if known[2:] == content:
                return
        else:
            if known is not None:
                self._delete("key = ?", (item.key,))
            self._append(item, vector, (stored, self._facts.clock, *content))
        self._note("\0".join((item.key, item.title, *content)).encode("utf-8", "surrogatepass"))

    def _append(self, item: Item, vector: Vectors, values: tuple[Any, ...]) -> None:
        facts = self._facts
        dimension = facts.dimension or len(vector)
        if len(vector) != dimension:
            raise RagkitError(f"the vector of '{item.key}' has {len(vector)} dimensions, the memory's have {dimension}")
        self._vectors.append(vector)
        row = (facts.positions, item.key, item.title, item.query, *values)
        self._db.execute("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        self._facts = facts._replace(positions=facts.positions + 1, items=facts.items + 1, dimension=dimension)

    def _delete(self, where: str, values: Sequence[Any]) -> int:
        query = f"SELECT position, key FROM items WHERE {where} ORDER BY position"  # noqa: S608 - fixed tests and marks
        rows = self._db.execute(query, values).fetchall()
        for position, key in rows:
            self._db.execute("DELETE FROM items WHERE position = ?", (position,))
            self._db.execute("INSERT INTO holes (position) VALUES (?)", (position,))
            self._note(f"-{key}".encode("utf-8", "surrogatepass"))
        self._facts = self._facts._replace(items=self._facts.items - len(rows))
        return len(rows)

    def _pack(self) -> None:
        """Write the files of vectors anew, without deleted items."""
        facts = self._facts
        old = VectorFiles(self._folder, facts.generation, facts.dimension).read(facts.positions)
        new = VectorFiles(self._folder, facts.generation + 1, facts.dimension)
        rows = self._db.execute("SELECT position FROM items ORDER BY position")
        kept = np.fromiter((row[0] for row in rows), np.int64)
        for start in range(0, len(kept), _BLOCK):
            new.write(start, old[kept[start : start + _BLOCK]])
        for statement in _PACK:
            self._db.execute(statement)
        self._facts = facts._replace(generation=facts.generation + 1, positions=len(kept))

    def _note(self, change: bytes) -> None:
        self._state.update(hashlib.sha256(change).digest())
        self._changed = True


def parts(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield values, as many at a time as a query may name."""
    for start in range(0, len(values), _KEYS_PER_QUERY):
        yield values[start : start + _KEYS_PER_QUERY]


def marks(values: Sequence[Any]) -> str:
    """Return a question mark for each value."""
    return ",".join("?" * len(values))
