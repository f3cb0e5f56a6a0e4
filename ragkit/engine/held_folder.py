"""A folder that one process at a time writes to."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ragkit.errors import InputError


@contextmanager
def held_folder(path: Path, what: str) -> Iterator[None]:
    """Make a folder unless it is there, and hold it against other processes.

    Args:
        path: the folder.
        what: what it is the folder of, for messages.

    Raises:
        InputError: it is a file, or another process holds it.
    """
    from filelock import FileLock, Timeout

    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: is a file; a {what} needs a folder")
    path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"{path}: another process is writing to this {what}") from None
    try:
        yield
    finally:
        lock.release()
