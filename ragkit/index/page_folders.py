"""The folders with the pages of documents beside the builds of an index."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from ragkit.index.folder import PAGES, PASSAGES

_NAMED = "SELECT DISTINCT json_extract(metadata, '$.pages') FROM passages"


def drop_pages(folder: Path) -> None:
    """Delete the pages of documents that no build names any more. The lock of the index must be held."""
    if not (folder / PAGES).is_dir():
        return
    named: set[str] = set()
    for store in folder.glob(f"*/{PASSAGES}"):
        with closing(sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as passages:
            named |= {name for (name,) in passages.execute(_NAMED) if name}
    for path in (folder / PAGES).iterdir():
        if path.name not in named:
            shutil.rmtree(path, ignore_errors=True)
