"""Writing FAISS's file of a Flat index piece by piece, without ever holding the vectors in memory.

A Flat file is a header, the number of float32 values, and the vectors as they are. The header is taken from FAISS
itself; `known_layout` compares the whole with what FAISS writes, so that another version's layout is noticed and the
index goes through FAISS's own writer instead.
"""

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ragkit.errors import RagkitError
from ragkit.index.dense.embedding import Vectors

_COUNT_AT = 8  # after the four letters of the kind and the dimension


def known_layout(faiss: Any, empty: Any) -> bool:
    """Tell whether the header made here is what FAISS writes for this kind of Flat index."""
    sample = np.arange(2 * empty.d, dtype=np.float32).reshape(2, empty.d)
    filled = faiss.clone_index(empty)
    filled.add(sample)
    return bool(_header(faiss, empty, 2) + sample.tobytes() == faiss.serialize_index(filled).tobytes())


def write_flat(faiss: Any, empty: Any, count: int, blocks: Iterable[Vectors], path: Path) -> None:
    """Write a Flat index of `count` vectors that come in blocks.

    Args:
        faiss: the module.
        empty: a Flat index of the right kind without vectors.
        count: the number of vectors in all blocks.
        blocks: arrays of shape (any, dimension).
        path: the file to write.

    Raises:
        RagkitError: the blocks hold another number of vectors.
    """
    written = 0
    with path.open("wb") as file:
        file.write(_header(faiss, empty, count))
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype=np.float32).data)
            written += len(block)
    if written != count:
        raise RagkitError(f"{path}: {written} vectors came for {count} passages")


def _header(faiss: Any, empty: Any, count: int) -> bytes:
    header = bytearray(faiss.serialize_index(empty).tobytes())
    struct.pack_into("<q", header, _COUNT_AT, count)
    struct.pack_into("<Q", header, len(header) - 8, count * empty.d)
    return bytes(header)
