"""Write the passages of an index, from nothing or on top of an earlier build."""

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ragkit.documents.document import ChunkedDocument, IngestReport, Unreadable
from ragkit.engine.state import Passage
from ragkit.errors import InputError
from ragkit.index.store import INDEXES, SCHEMA

TAKEN = "belongs to an earlier document"

_Row = tuple[str, str, str]


class _Owner(NamedTuple):
    """The row of a document."""

    file: str
    hash: bytes
    first: int
    stop: int
    first_parent: int
    stop_parent: int


class StoreWriter:
    """Adds, replaces and deletes documents in a store that nobody reads yet; a context manager.

    Of documents with the same id that of the earliest file is kept, whatever the order in which they come: a continued
    store holds what one written from nothing would.

    Args:
        path: the file to write; one that is there is overwritten.
        previous: the store to continue; it is copied, and its positions stay.
        order: the rank of every file of the corpus.
    """

    def __init__(self, path: Path, previous: Path | None = None, order: Mapping[str, int] | None = None) -> None:
        path.unlink(missing_ok=True)
        if previous is not None:
            shutil.copyfile(previous, path)
        self._order = order or {}
        self._db = sqlite3.connect(path, isolation_level=None)
        # A store that a kill leaves half written is never read, so nothing needs to be safe before it is finished.
        self._db.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-65536;")
        self._db.execute("BEGIN")
        for statement in SCHEMA.split(";") if previous is None else ():
            self._db.execute(statement)
        self._db.execute("CREATE TEMP TABLE stale (id TEXT PRIMARY KEY) WITHOUT ROWID")
        facts = dict(self._db.execute("SELECT name, value FROM facts"))
        self._position, self._parent = int(facts.get("positions", 0)), int(facts.get("parents", 0))
        self._known_layout = str(facts.get("layout", ""))
        self._layout = hashlib.sha256(self._known_layout.encode())
        self._changed = previous is None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def clashing_files(self) -> list[str]:
        """Return the files with documents that were left out for those of other files; they are to be read again."""
        return [row[0] for row in self._db.execute("SELECT DISTINCT file FROM clashes ORDER BY file")]

    def expire_files(self, files: Iterable[str]) -> None:
        """Let all documents of files go, unless they are put again before the store is finished."""
        for file in files:
            self._db.execute("INSERT OR IGNORE INTO stale SELECT id FROM documents WHERE file = ?", (file,))
            self._db.execute("DELETE FROM clashes WHERE file = ?", (file,))
            self._db.execute("DELETE FROM files WHERE id = ?", (file,))

    def expire_documents(self, ids: Iterable[str]) -> list[str]:
        """Let documents go, unless they are put again; return the ids that are not there."""
        missing = []
        for name in ids:
            done = self._db.execute("INSERT OR IGNORE INTO stale SELECT id FROM documents WHERE id = ?", (name,))
            if done.rowcount == 0 and not self._owner(name):
                missing.append(name)
        return missing

    def put(self, file: str, name: str, document: ChunkedDocument) -> bool:
        """Add a document, or replace the expired one of its id; one that is the same as before keeps its positions.

        Returns:
            Whether it has any passages; if not, it is left out.

        Raises:
            Unreadable: an earlier document has its id, or its metadata are no JSON.
        """
        if not document.passages:
            return False
        passages, parents = (_rows(group) for group in (document.passages, document.parents))
        digest = hashlib.sha256(json.dumps([passages, parents]).encode()).digest()
        owner = self._owner(name)
        if owner is not None:
            self._make_room(name, file, owner)
            if owner.hash == digest:
                self._db.execute("UPDATE documents SET file = ? WHERE id = ?", (file, name))
                return True
            self._remove(name, owner)
        self._append(name, file, digest, passages, parents)
        return True

    def put_report(self, file: str, report: IngestReport) -> None:
        """Keep what was read of a file and what was not."""
        self._db.execute("INSERT OR REPLACE INTO files VALUES (?, ?)", (file, json.dumps(asdict(report))))

    def report(self) -> IngestReport:
        """Return what was read and what was not for all files together, in the order of the corpus."""
        total = IngestReport()
        rows = dict(self._db.execute("SELECT id, report FROM files"))
        for file in sorted(rows, key=lambda file: (self._order.get(file, 0), file)):
            total.add(IngestReport.from_dict(json.loads(rows[file])))
        return total

    def finish(self) -> None:
        """Delete what expired, and write the numbers and hashes that the store is known by.

        Raises:
            InputError: two passages have the same id.
        """
        for (name,) in self._db.execute("SELECT id FROM stale ORDER BY id"):
            owner = self._owner(name)
            if owner is not None:
                self._remove(name, owner)
        for statement in INDEXES:
            self._db.execute(statement)
        self._check_ids()
        corpus = hashlib.sha256()
        for (digest,) in self._db.execute("SELECT hash FROM documents ORDER BY id"):
            corpus.update(digest)
        (holes,) = self._db.execute("SELECT count(*) FROM holes").fetchone()
        facts = {"positions": self._position, "parents": self._parent, "holes": holes}
        layout = self._layout.hexdigest() if self._changed else self._known_layout
        hashes = {"corpus": corpus.hexdigest(), "layout": layout}
        self._db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", (facts | hashes).items())
        self._db.execute("COMMIT")

    def _owner(self, name: str) -> _Owner | None:
        query = "SELECT file, hash, first, stop, first_parent, stop_parent FROM documents WHERE id = ?"
        row = self._db.execute(query, (name,)).fetchone()
        return _Owner(*row) if row else None

    def _make_room(self, name: str, file: str, owner: _Owner) -> None:
        """Settle which of two files' documents of one id is kept; return if it is the one at hand."""
        if self._db.execute("DELETE FROM stale WHERE id = ?", (name,)).rowcount:
            return
        earlier = self._order.get(file, 0) < self._order.get(owner.file, 0)
        loser = owner.file if earlier else file
        if file != owner.file:
            self._db.execute("INSERT OR IGNORE INTO clashes VALUES (?, ?)", (loser, name))
        if not earlier:
            raise Unreadable(f"the id '{name}' {TAKEN}")

    def _append(self, name: str, file: str, digest: bytes, passages: Sequence[_Row], parents: Sequence[_Row]) -> None:
        first, first_parent = self._position, self._parent
        self._position += len(passages)
        self._parent += len(parents)
        self._db.executemany("INSERT INTO passages VALUES (?, ?, ?, ?)", _numbered(first, passages))
        self._db.executemany("INSERT INTO parents VALUES (?, ?, ?, ?)", _numbered(first_parent, parents))
        row = (name, file, digest, first, self._position, first_parent, self._parent)
        self._db.execute("INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        self._note(digest)

    def _remove(self, name: str, owner: _Owner) -> None:
        places = range(owner.first, owner.stop)
        self._db.execute("DELETE FROM passages WHERE position >= ? AND position < ?", (owner.first, owner.stop))
        self._db.execute(
            "DELETE FROM parents WHERE number >= ? AND number < ?", (owner.first_parent, owner.stop_parent)
        )
        self._db.executemany("INSERT INTO holes VALUES (?)", ((place,) for place in places))
        self._db.execute("DELETE FROM documents WHERE id = ?", (name,))
        self._note(f"-{owner.first}".encode())

    def _note(self, change: bytes) -> None:
        self._layout.update(change)
        self._changed = True

    def _check_ids(self) -> None:
        for table in ("passages", "parents"):
            query = f"SELECT id FROM {table} GROUP BY id HAVING count(*) > 1 LIMIT 1"  # noqa: S608 - fixed names
            for (name,) in self._db.execute(query):
                raise InputError(f"documents: two {table} have the id '{name}'; rename one of the documents")


def pack(source: Path, target: Path) -> NDArray[np.int64]:
    """Copy a finished store without the holes, in the same order; return the old position of every new one."""
    target.unlink(missing_ok=True)
    db = sqlite3.connect(target, isolation_level=None)
    try:
        db.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; {SCHEMA}")
        db.execute("ATTACH DATABASE ? AS old", (str(source),))
        db.execute("BEGIN")
        for statement in _PACK:
            db.execute(statement)
        for statement in INDEXES:
            db.execute(statement)
        positions = db.execute("SELECT position FROM old.passages ORDER BY position")
        kept = np.fromiter((row[0] for row in positions), np.int64)
        layout = hashlib.sha256(b"".join(row[0] for row in db.execute("SELECT hash FROM documents ORDER BY first")))
        parents = db.execute("SELECT count(*) FROM parents").fetchone()[0]
        facts = {"positions": len(kept), "parents": parents, "holes": 0, "layout": layout.hexdigest()}
        db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts.items())
        db.execute("COMMIT")
    finally:
        db.close()
    return kept


_PACK = (
    "INSERT INTO passages SELECT row_number() OVER (ORDER BY position) - 1, id, metadata, text FROM old.passages",
    "INSERT INTO parents SELECT row_number() OVER (ORDER BY number) - 1, id, metadata, text FROM old.parents",
    """INSERT INTO documents SELECT id, file, hash, last - size, last, last_parent - parents, last_parent FROM (
        SELECT id, file, hash, stop - first AS size, stop_parent - first_parent AS parents,
            sum(stop - first) OVER (ORDER BY first) AS last,
            sum(stop_parent - first_parent) OVER (ORDER BY first) AS last_parent FROM old.documents)""",
    "INSERT INTO files SELECT * FROM old.files",
    "INSERT INTO clashes SELECT * FROM old.clashes",
    "INSERT INTO facts SELECT * FROM old.facts",
)


def _rows(passages: Iterable[Passage]) -> list[_Row]:
    """Return (id, metadata, text) of passages as the store keeps them.

    Raises:
        Unreadable: metadata are no JSON, or a text is no Unicode.
    """
    try:
        rows = [
            (passage.id, json.dumps(passage.metadata, ensure_ascii=False, allow_nan=False), passage.page_content)
            for passage in passages
        ]
        for row in rows:
            "".join(row).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Unreadable(f"its metadata or text cannot be stored: {error}") from None
    return rows


def _numbered(first: int, rows: Iterable[_Row]) -> Iterator[tuple[Any, ...]]:
    return ((number, *row) for number, row in enumerate(rows, first))
