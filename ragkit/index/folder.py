"""The folder of an index on disk: builds side by side, a pointer to the current one, and a lock.

    <folder>/current          the name of the current build
    <folder>/<build>/         manifest.json, ingest.json, passages.sqlite, and a folder for each part
    <folder>/work/            a build under way: what a killed process has done, for the next one to go on with
    <folder>/pages/           a folder for each document whose pages are kept
    <folder>/files.json       hashes of the corpus files with their sizes and times
    <folder>/lock             held by the process that builds

A build is made in `work`, renamed, and then named in `current`. Replacing that one file is atomic: a reader sees the
old index or the new one. The build before the current one stays for readers that have it open.
"""

import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ragkit.documents import SourceFile
from ragkit.errors import InputError, need
from ragkit.index.manifest import Manifest

_LOG = logging.getLogger(__name__)

CURRENT = "current"
WORK = "work"
PAGES = "pages"
PASSAGES = "passages.sqlite"
_LOCK, _MEMO = "lock", "files.json"
_BUILD = re.compile(r"[0-9a-f]{16}-[0-9a-f]{8}")
_PATIENCE = 1.0
_CLOCK_TICK = 2.0


def current_build(folder: Path) -> Path:
    """Return the folder of the current build.

    Raises:
        InputError: nothing has been built.
    """
    try:
        return folder / (folder / CURRENT).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise InputError(f"{folder} holds no index; build it first") from None


def check_folder(folder: Path) -> None:
    """See that a folder is an index's or empty: builds come and go in it.

    Raises:
        InputError: it holds other things.
    """
    if (folder / _LOCK).exists() or (folder / CURRENT).exists() or not folder.exists():
        return
    for path in sorted(folder.iterdir()):
        if not (path.name.startswith(_MEMO) and path.is_file()):  # another process is about to build
            raise InputError(f"{folder} holds {path.name} and is no index: an index needs a folder of its own")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from building; the operating system frees the lock when the process ends, however."""
    folder.mkdir(parents=True, exist_ok=True)
    filelock = need("filelock", "filelock", "building an index")
    lock = filelock.FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=_PATIENCE)
    except filelock.Timeout:
        _LOG.info("waiting for another process that builds the index in %s", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def publish(folder: Path, finished: Path, manifest: Manifest) -> Path:
    """Make a finished build the current one, remove `work`, and return the build's folder. The lock must be held."""
    pointer = folder / CURRENT
    previous = pointer.read_text(encoding="utf-8").strip() if pointer.exists() else None
    name = f"{manifest.fingerprint()[:16]}-{secrets.token_hex(4)}"
    finished.rename(folder / name)
    _replace(pointer, name + "\n")
    for path in folder.iterdir():
        if path.name == WORK or (_BUILD.fullmatch(path.name) and path.name not in (name, previous)):
            shutil.rmtree(path, ignore_errors=True)
    return folder / name


def hash_files(files: Sequence[SourceFile], folder: Path) -> dict[str, str]:
    """Return the SHA-256 of files by document id; a file whose size and time are those of the memo is not read.

    Files that cannot be read have the hash `unreadable`; the ingest report tells why.
    """
    memo = folder / _MEMO
    known = _read_memo(memo)
    fresh: dict[str, list[int | str]] = {}
    hashes: dict[str, str] = {}
    now = time.time()
    for file in files:
        try:
            stat = file.path.stat()
            entry = known.get(str(file.path))
            if entry is None or entry[:2] != [stat.st_size, stat.st_mtime_ns]:
                with file.path.open("rb") as content:
                    entry = [stat.st_size, stat.st_mtime_ns, hashlib.file_digest(content, "sha256").hexdigest()]
        except OSError:
            hashes[file.id] = "unreadable"
            continue
        hashes[file.id] = str(entry[2])
        # A file written just now may change again within one tick of the file system's clock.
        if now - stat.st_mtime > _CLOCK_TICK:
            fresh[str(file.path)] = entry
    if fresh != known:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(memo, json.dumps(fresh))
    return hashes


def _read_memo(memo: Path) -> dict[str, list[int | str]]:
    """Return the memo; a damaged one only costs hashing the files again."""
    try:
        found = json.loads(memo.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    entries = found.items() if isinstance(found, dict) else ()
    return {name: entry for name, entry in entries if isinstance(entry, list) and len(entry) == 3}


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
