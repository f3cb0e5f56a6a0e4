"""Short codes of vectors, to find the few that may be near a query without reading the vectors themselves.

A vector is turned by a random rotation, after which its coordinates behave like draws from a normal distribution
whatever the data are, and four coordinates at a time are replaced by the nearest of 16 fixed points: 4 bits. FAISS
compares such codes with a query at the speed of memory. The estimate of a cosine is unbiased, and because the rotation
is random its error is that of a sum of many independent terms, `deviation` of which is known beforehand: who looks at
everything down to six deviations below a threshold misses a vector above it once in a thousand million.

Source: the rotation and the error bound follow Gao and Long 2024, RaBitQ, arXiv 2405.12497; the codes are a product
quantization (Jégou, Douze and Schmid 2011), searched as in André, Kermarrec and Le Scouarnec 2017, arXiv 1704.07355.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import InputError
from ragkit.index.dense.embedding import Vectors
from ragkit.index.dense.library import load_faiss

_COORDINATES = 4
_POINTS = 16
_SAMPLE = 50_000
_SEED = 20_240_710
_FIRST_FETCH, _WIDER = 256, 16

SHARD = 1 << 18
"""Codes that one core searches at a time: 12 MB at 384 dimensions."""

Codes = NDArray[np.uint8]
"""Shape (n, code_size)."""


class Sketcher:
    """Makes codes of vectors of length 1; always the same ones for the same rotation and points.

    Args:
        rotation: shape (rotated, dimension), with orthonormal columns; `rotated` is a multiple of 4.
        points: shape (16, 4), for coordinates of variance 1.
        kept: the share of the squared length that the points keep, on average.

    Attributes:
        deviation: standard deviation of the error of an estimated cosine.
    """

    def __init__(self, rotation: Vectors, points: Vectors, kept: float) -> None:
        self._rotation, self._points, self._kept = rotation, points, kept
        rotated, self.dimension = rotation.shape
        self._parts = rotated // _COORDINATES
        self.deviation = ((1 - kept) / kept / rotated) ** 0.5
        self._quantizer = self._make()

    @classmethod
    def create(cls, dimension: int) -> Self:
        """Draw a rotation and find the points."""
        faiss = load_faiss()
        rotated = -(-dimension // _COORDINATES) * _COORDINATES
        drawn = np.random.default_rng(_SEED).standard_normal((rotated, dimension))
        rotation = np.linalg.qr(drawn)[0].astype(np.float32)
        sample = np.random.default_rng(_SEED + 1).standard_normal((_SAMPLE, _COORDINATES)).astype(np.float32)
        means = faiss.Kmeans(_COORDINATES, _POINTS, niter=50, seed=_SEED, max_points_per_centroid=_SAMPLE)
        means.train(sample)
        nearest = means.centroids[means.index.search(sample, 1)[1][:, 0]]
        return cls(rotation, means.centroids, float((nearest * sample).sum() / (sample * sample).sum()))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            InputError: the file is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as found:
                return cls(found["rotation"], found["points"], float(found["kept"]))
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{path} is damaged ({error}); export what the memory holds and clear it") from None

    def save(self, path: Path) -> None:
        """Write the rotation and the points."""
        with path.open("wb") as file:
            np.savez(file, rotation=self._rotation, points=self._points, kept=np.float64(self._kept))

    @property
    def code_size(self) -> int:
        """Bytes of a code."""
        return int(self._quantizer.sa_code_size())

    def encode(self, vectors: Vectors) -> Codes:
        """Return the codes of vectors, shape (n, code_size)."""
        codes: Codes = self._quantizer.sa_encode(self.rotate(vectors))
        return codes

    def rotate(self, vectors: Vectors) -> Vectors:
        """Return vectors as FAISS sees them, shape (n, rotated)."""
        return np.ascontiguousarray(vectors @ self._rotation.T)

    def index(self, codes: Codes) -> Any:
        """Return an index of codes for FAISS."""
        faiss = load_faiss()
        plain = self._make()
        faiss.copy_array_to_vector(np.ascontiguousarray(codes).ravel(), plain.codes)
        plain.ntotal = len(codes)
        return faiss.IndexPQFastScan(plain)

    def cosines(self, scores: Vectors) -> Vectors:
        """Return what FAISS's scores say of cosines."""
        return scores / np.float32(self._kept)

    def _make(self) -> Any:
        faiss = load_faiss()
        made = faiss.IndexPQ(self._parts * _COORDINATES, self._parts, 4, faiss.METRIC_INNER_PRODUCT)
        scaled = self._points / np.float32(self._parts * _COORDINATES) ** 0.5
        faiss.copy_array_to_vector(np.tile(scaled, (self._parts, 1)).astype(np.float32).ravel(), made.pq.centroids)
        made.is_trained = True
        return made


class SketchIndex:
    """Codes in memory, in shards that the cores search side by side: what takes time is reading them.

    Args:
        sketcher: what the codes were made with.
        codes: by position.

    Attributes:
        deviation: standard deviation of the error of an estimated cosine.
    """

    def __init__(self, sketcher: Sketcher, codes: Codes) -> None:
        self._sketcher = sketcher
        self.deviation = sketcher.deviation
        starts = range(0, max(1, len(codes)), SHARD)
        self._shards = [sketcher.index(codes[start : start + SHARD]) for start in starts]

    def __len__(self) -> int:
        return sum(shard.ntotal for shard in self._shards)

    def add(self, vectors: Vectors) -> None:
        """Put vectors at the next positions."""
        rotated = self._sketcher.rotate(vectors)
        while len(rotated):
            if self._shards[-1].ntotal == SHARD:
                self._shards.append(self._sketcher.index(np.empty((0, self._sketcher.code_size), np.uint8)))
            room = SHARD - self._shards[-1].ntotal
            self._shards[-1].add(np.ascontiguousarray(rotated[:room]))
            rotated = rotated[room:]

    def near(self, query: Vectors, lowest: float, most: int) -> NDArray[np.int64] | None:
        """Return all positions whose estimated cosine with a query vector is at least `lowest`.

        None where these are more than about `most`.
        """
        rotated = self._sketcher.rotate(query[None])

        def search(shard: Any) -> NDArray[np.int64] | None:
            return self._near(shard, rotated, lowest, most)

        # Threads only where there is more than one shard; FAISS lets the others go on meanwhile.
        searched = _threads().map(search, self._shards) if len(self._shards) > 1 else map(search, self._shards)
        found = [np.empty(0, np.int64)]
        for number, positions in enumerate(list(searched)):
            if positions is None:
                return None
            found.append(positions + number * SHARD)
        return np.concatenate(found)

    def _near(self, shard: Any, rotated: Vectors, lowest: float, most: int) -> NDArray[np.int64] | None:
        fetch = _FIRST_FETCH
        while True:
            scores, positions = shard.search(rotated, min(fetch, shard.ntotal))
            estimates = self._sketcher.cosines(scores[0])
            if fetch >= shard.ntotal or estimates[-1] < lowest:
                near: NDArray[np.int64] = positions[0][estimates >= lowest]
                return near
            if fetch >= most:
                return None
            fetch *= _WIDER


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="ragkit-memory")
