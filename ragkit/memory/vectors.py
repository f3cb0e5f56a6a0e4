"""The vectors of a memory: files that only grow, and a search for all vectors at or above a cosine.

    vectors.<generation>   float32, a row for each position
    codes.<generation>     their codes, see sketch.py
    sketch.<dimension>.npz what the codes are made with

Rows beyond the count that the memory's database has committed are what a killed writer left; the next one writes over
them. A generation is written when a memory without its deleted items is; readers keep the old files until they look.
"""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import InputError
from ragkit.index.dense.embedding import Vectors
from ragkit.memory.sketch import Sketcher, SketchIndex

TOLERANCE = 1e-6
"""Cosines of float32 vectors are this exact, so a threshold is met from this much below it on."""

_ROUGHLY = 10 * TOLERANCE  # what is not so near the threshold in single precision does not meet it in double
_DEVIATIONS = 6.0
_SKETCH_FROM_DIMENSION = 64  # below it the errors of codes are no sum of many terms
_SCAN_BELOW = 8_192
_FEW = 16  # the share of candidates, one in so many, from which on all vectors are compared
_BLOCK = 16_384
_MEND = "export what the memory holds, delete its folder and import it again"

Matches = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Positions, ascending, and their cosines."""


class VectorFiles:
    """The files of one generation, for writing at positions that are not committed yet and for reading others."""

    def __init__(self, folder: Path, generation: int, dimension: int) -> None:
        self._dimension = dimension
        self._vectors = folder / f"vectors.{generation}"
        self._codes = folder / f"codes.{generation}"
        self._sketcher = None
        if dimension >= _SKETCH_FROM_DIMENSION:
            self._sketcher = _sketcher(folder / f"sketch.{dimension}.npz", dimension)

    def write(self, position: int, vectors: Vectors) -> None:
        """Put vectors of length 1 at a position and those that follow; they are on disk when it returns."""
        _put(self._vectors, position * self._dimension * 4, np.ascontiguousarray(vectors, np.float32).tobytes())
        if self._sketcher is not None:
            codes = self._sketcher.encode(vectors)
            _put(self._codes, position * self._sketcher.code_size, codes.tobytes())

    def read(self, count: int) -> Vectors:
        """Return the vectors at positions 0, ..., count - 1, mapped from disk.

        Raises:
            InputError: the file holds fewer.
            FileNotFoundError: another process has written a new generation.
        """
        shape = (count, self._dimension)
        if not count:
            return np.empty(shape, np.float32)
        try:
            return np.memmap(self._vectors, np.float32, "r", shape=shape)
        except ValueError as error:
            raise InputError(f"{self._vectors} is damaged ({error}); {_MEND}") from None

    def index(self, count: int) -> SketchIndex | None:
        """Return an index of the codes at positions 0, ..., count - 1; None where vectors are too short for codes."""
        if self._sketcher is None:
            return None
        size = self._sketcher.code_size
        codes = np.fromfile(self._codes, np.uint8, count * size) if count else np.empty(0, np.uint8)
        if len(codes) != count * size:
            raise InputError(f"{self._codes} is cut short; {_MEND}")
        return SketchIndex(self._sketcher, codes.reshape(count, size))

    def remove(self) -> None:
        """Delete the files; who has them open keeps them."""
        for path in (self._vectors, self._codes):
            path.unlink(missing_ok=True)


class VectorView:
    """The vectors of a memory as they were when it was last looked at."""

    def __init__(self, files: VectorFiles, count: int) -> None:
        self._files = files
        self._vectors = files.read(count)
        self._index = files.index(count)

    def __len__(self) -> int:
        return len(self._vectors)

    def grow(self, count: int) -> None:
        """Take in what has been written since."""
        before, self._vectors = len(self._vectors), self._files.read(count)
        if self._index is not None:
            for start in range(before, count, _BLOCK):
                self._index.add(np.array(self._vectors[start : min(start + _BLOCK, count)]))

    def row(self, position: int) -> Vectors:
        """Return the vector at a position."""
        return np.array(self._vectors[position])

    def gram(self, positions: NDArray[np.int64]) -> Vectors:
        """Return the cosines of vectors with one another, shape (n, n)."""
        rows = self._vectors[positions]
        return np.asarray(rows @ rows.T)

    def match(self, query: Vectors, tau: float) -> Matches:
        """Return all positions whose cosine with a query of length 1 is at least `tau`, the same in any memory."""
        candidates = self._candidates(query, tau)
        if candidates is None:
            candidates = self._scan(query, tau)
        rows = self._vectors[candidates]
        near = rows @ query >= tau - _ROUGHLY
        # Twice the precision, so that the digits do not depend on what else is compared.
        candidates, cosines = candidates[near], rows[near].astype(np.float64) @ query.astype(np.float64)
        met = cosines >= tau - TOLERANCE
        order = np.argsort(candidates[met])
        return candidates[met][order], np.round(cosines[met][order], 7)

    def _candidates(self, query: Vectors, tau: float) -> NDArray[np.int64] | None:
        """Return positions among which all matches are, by the codes; None where a scan is the shorter way."""
        if self._index is None or len(self) < _SCAN_BELOW:
            return None
        return self._index.near(query, tau - TOLERANCE - _DEVIATIONS * self._index.deviation, len(self) // _FEW)

    def _scan(self, query: Vectors, tau: float) -> NDArray[np.int64]:
        found = [np.empty(0, np.int64)]
        for start in range(0, len(self), _BLOCK):
            cosines = self._vectors[start : start + _BLOCK] @ query
            found.append(start + np.flatnonzero(cosines >= tau - _ROUGHLY))
        return np.concatenate(found)


def _sketcher(path: Path, dimension: int) -> Sketcher:
    """Return what the codes of a folder are made with; drawn by its first writer, who holds the memory's lock."""
    if not path.exists():
        made = path.with_suffix(".tmp")
        Sketcher.create(dimension).save(made)
        made.replace(path)
    return Sketcher.load(path)


def _put(path: Path, offset: int, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.seek(offset)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
