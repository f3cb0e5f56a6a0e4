"""The call cache: what a model, encoder or index has answered once is never asked again."""

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ragkit.engine.calls import Reply, Request
from ragkit.errors import RagkitError
from ragkit.paths import project_dir

_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    key BLOB PRIMARY KEY, value BLOB NOT NULL, is_array INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, seconds REAL NOT NULL
) WITHOUT ROWID
"""
# Of `is_array`: what is no array, and a vector; a matrix has the number of its columns behind that.
_JSON, _VECTOR = 0, 1
_KEYS_PER_QUERY = 500


def call_key(fingerprint: str, request: Request) -> bytes:
    """Return the key of a call: a hash of the resource's fingerprint, the operation and its arguments."""
    canonical = json.dumps([fingerprint, request.op, request.args], sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(canonical.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class CallCache:
    """Answers by key, in an SQLite file that several threads and processes may use at once.

    An answer is on disk when `store` returns, so a killed run has lost none that it had stored.

    Raises:
        RagkitError: the file is damaged or is no call cache.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path, timeout=60, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise self._explain(error) from None

    def _explain(self, error: sqlite3.DatabaseError) -> RagkitError:
        if isinstance(error, sqlite3.OperationalError):
            return RagkitError(f"{self.path}: the call cache cannot be used now ({error}); check disk and permissions")
        return RagkitError(f"{self.path}: the call cache is damaged ({error}); delete the file to start anew")

    def lookup(self, keys: Iterable[bytes]) -> dict[bytes, Reply]:
        """Return the known answers among the keys."""
        wanted = list(keys)
        found: dict[bytes, Reply] = {}
        for start in range(0, len(wanted), _KEYS_PER_QUERY):
            part = wanted[start : start + _KEYS_PER_QUERY]
            marks = ",".join("?" * len(part))
            query = f"SELECT * FROM calls WHERE key IN ({marks})"  # noqa: S608 - only question marks are put in
            try:
                with self._lock:
                    rows = self._db.execute(query, part).fetchall()
            except sqlite3.DatabaseError as error:
                raise self._explain(error) from None
            for key, value, is_array, prompt_tokens, completion_tokens, seconds in rows:
                found[key] = Reply(_decode(value, is_array), prompt_tokens, completion_tokens, seconds)
        return found

    def store(self, replies: Mapping[bytes, Reply]) -> None:
        """Keep answers, all or none of them; a key that is there already keeps its first answer."""
        rows = [
            (key, *_encode(reply.value), reply.prompt_tokens, reply.completion_tokens, reply.seconds)
            for key, reply in replies.items()
        ]
        try:
            with self._lock:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    self._db.executemany("INSERT OR IGNORE INTO calls VALUES (?, ?, ?, ?, ?, ?)", rows)
                except BaseException:
                    self._db.execute("ROLLBACK")
                    raise
                self._db.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            raise self._explain(error) from None

    def __len__(self) -> int:
        with self._lock, closing(self._db.execute("SELECT count(*) FROM calls")) as cursor:
            return int(cursor.fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def _encode(value: Any) -> tuple[bytes, int]:
    if isinstance(value, np.ndarray):
        kind = _VECTOR if value.ndim == 1 else _VECTOR + value.shape[1]
        return np.ascontiguousarray(value, dtype=np.float32).tobytes(), kind
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"), _JSON


def _decode(value: bytes, kind: int) -> Any:
    if kind == _JSON:
        return json.loads(value)
    array = np.frombuffer(value, dtype=np.float32)
    return array if kind == _VECTOR else array.reshape(-1, kind - _VECTOR)


@contextmanager
def project_cache(*, wanted: bool = True) -> Iterator[CallCache | None]:
    """Open the call cache of the project folder, and close it afterwards; without one where none is wanted.

    Raises:
        RagkitError: the file is damaged or is no call cache.
    """
    if not wanted:
        yield None
        return
    cache = CallCache(project_dir() / "calls.sqlite")
    try:
        yield cache
    finally:
        cache.close()
