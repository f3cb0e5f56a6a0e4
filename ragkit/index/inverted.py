"""Weights of (passage, term) pairs sorted by term, so that a search reads only the terms of its query.

The files and their names are those of bm25s: a matrix in compressed columns, a column for each term.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import need

_NAMES = ("data.csc.index.npy", "indices.csc.index.npy", "indptr.csc.index.npy")

Triple = tuple[int, NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]
"""First position, number of pairs of each passage from there on, and the terms and the weights of these pairs."""


class Inverted(NamedTuple):
    """The columns: weights, positions of their passages (ascending in a column), and where each column starts."""

    weights: NDArray[np.float32]
    positions: NDArray[np.int32]
    starts: NDArray[np.int64]

    @classmethod
    def open(cls, folder: Path) -> "Inverted":
        """Map the files of a folder."""
        return cls(*(np.asarray(np.load(folder / name, mmap_mode="r")) for name in _NAMES))

    def column(self, term: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the positions of the passages that hold a term, and their weights."""
        start, end = self.starts[term], self.starts[term + 1]
        return self.positions[start:end], self.weights[start:end]


def write_inverted(pairs: Iterable[Triple], holders: NDArray[np.int64], folder: Path) -> None:
    """Sort pairs by term and write the columns.

    The memory needed is that of a block of pairs and of the vocabulary.

    Args:
        pairs: all pairs, in blocks in the order of the positions.
        holders: how many passages hold each term.
        folder: where the files are put.
    """
    sparse: Any = need("scipy.sparse", "scipy", "a sparse index")
    starts = np.concatenate([[0], np.cumsum(holders)])
    np.save(folder / _NAMES[2], starts)
    weights = _create(folder / _NAMES[0], np.float32, int(starts[-1]))
    positions = _create(folder / _NAMES[1], np.int32, int(starts[-1]))
    free = starts[:-1].copy()
    for first, sizes, terms, values in pairs:
        rows = np.concatenate([[0], np.cumsum(sizes)])
        block = sparse.csr_array((values, terms, rows), shape=(len(sizes), len(holders))).tocsc()
        filled = np.diff(block.indptr)
        places = np.arange(len(terms)) + np.repeat(free - block.indptr[:-1], filled)
        weights[places] = block.data
        positions[places] = block.indices + first
        free += filled


def _create(path: Path, kind: type[np.generic], length: int) -> NDArray[Any]:
    if length == 0:  # nothing that could be mapped
        np.save(path, np.empty(0, kind))
        return np.empty(0, kind)
    return np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=(length,))
