"""The dense part of an index, opened for searching."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import InputError, RagkitError
from ragkit.index.dense.backend import Backend, FaissCpu, FaissGpu
from ragkit.index.dense.embedding import Vectors, scale
from ragkit.index.dense.facts import VECTORS, DenseFacts
from ragkit.index.dense.library import flat_vectors, is_flat, load_faiss
from ragkit.index.dense.parameters import apply_parameters
from ragkit.index.dense.ranking import rank
from ragkit.index.dense.settings import DenseSettings
from ragkit.index.part import Ranking, Selection
from ragkit.models.devices import resolve_device

_FLOAT16_LARGEST = 65_504.0


class DenseIndex:
    """Vectors opened for searching, by memory map.

    The candidates of all queries are found at once. A Flat index then scores each query's candidates pair by pair,
    because a matrix product gives other last digits in another batch: a query's ranking does not depend on the
    queries beside it, on the length asked for, or on the device. Rankings of graphs (HNSW) that are longer than
    efSearch are searched more widely than shorter ones.

    Scores are the cosine, the inner product, or minus the squared Euclidean distance.

    Raises:
        InputError: the device does not exist or cannot search such an index, or a search parameter is unknown.
        OSError, RuntimeError, ValueError: the files are missing or damaged.
    """

    def __init__(self, folder: Path, settings: DenseSettings) -> None:
        faiss = load_faiss()
        facts = DenseFacts.load(folder)
        index = faiss.read_index(str(folder / VECTORS), faiss.IO_FLAG_MMAP_IFC)
        if index.d != facts.dimension:
            raise ValueError(f"{VECTORS} has {index.d} dimensions, its facts say {facts.dimension}")
        apply_parameters(index, settings.factory, settings.search)
        if settings.precision == "float16" and facts.longest > _FLOAT16_LARGEST:
            raise InputError(
                f"index.dense.precision is float16, which ends at {_FLOAT16_LARGEST:g}; a vector has the length "
                f"{facts.longest:g}: take float32"
            )
        self._faiss = faiss
        self._index = index
        self._settings = settings
        self._longest = facts.longest
        self._vectors = flat_vectors(faiss, index) if is_flat(faiss, index) else None
        self._backend = _backend(index, self._vectors, settings)

    @property
    def device_used(self) -> str:
        """Where the vectors are searched: `cpu`, `cuda, faiss` or `cuda, torch`."""
        return self._backend.device_used

    @property
    def precision_used(self) -> str:
        """How the vectors are kept there, `float32` or `float16`; quantised kinds keep their codes."""
        return self._backend.precision_used

    def search(self, queries: Sequence[Any], k: int, allowed: Selection | None = None) -> list[Ranking]:
        """Return the k best passages of each query vector, fewer if fewer match.

        Raises:
            RagkitError: a vector has another dimension than the index, or holds NaN, or `allowed` has another length.
        """
        if not len(queries):
            return []
        dimension = self._index.d
        rows = [np.asarray(query, dtype=np.float32) for query in queries]
        for row in rows:
            if row.shape != (dimension,):
                raise RagkitError(f"the query has {row.size} dimensions, the index {dimension}")
        stacked = np.stack(rows)
        lengths = np.einsum("qd,qd->q", stacked, stacked)
        if not np.isfinite(lengths).all():
            raise RagkitError("the vector of a query holds NaN or infinity")
        longest = float(lengths.max()) ** 0.5
        if self._settings.metric == "cosine":
            scale(stacked)
            longest = 1.0
        if allowed is not None and len(allowed) != self._index.ntotal:
            raise RagkitError(f"the filter is for {len(allowed)} passages, the index holds {self._index.ntotal}")
        if self._vectors is None:
            return rank(self._backend, stacked, k, allowed, self._index.ntotal)
        return rank(self._backend, stacked, k, allowed, self._index.ntotal, self._rescore, self._tolerance(longest))

    def _rescore(self, queries: Vectors, positions: NDArray[np.int64]) -> Vectors:
        """Score pairs one by one: the same digits in any batch."""
        squared = self._settings.metric == "l2"
        by_index = self._faiss.fvec_L2sqr_by_idx if squared else self._faiss.fvec_inner_products_by_idx
        pointer = self._faiss.swig_ptr
        scores = np.zeros(positions.shape, dtype=np.float32)
        queries, positions = np.ascontiguousarray(queries), np.ascontiguousarray(positions, dtype=np.int64)
        by_index(
            pointer(scores), pointer(queries), self._index.get_xb(), pointer(positions), self._index.d, *positions.shape
        )
        return -scores if squared else scores

    def _tolerance(self, longest: float) -> float:
        """Return how far the backend's scores may be off, given the length of the longest query.

        In float32 these are the rounding errors of a sum of `dimension` products, in float16 those of its terms.
        """
        # The squared distance is found as |q|^2 + |x|^2 - 2qx, which leaves the errors of the largest of them.
        magnitude = (longest + self._longest) ** 2 if self._settings.metric == "l2" else longest * self._longest
        if self._backend.precision_used == "float16":
            return 4 * 2.0**-11 * magnitude
        return float(4 * 2.0**-23 * self._index.d**0.5 * magnitude)


def _backend(index: Any, vectors: Vectors | None, settings: DenseSettings) -> Backend:
    """Choose who searches; what `auto` stands for is seen in `device_used`.

    A GPU is FAISS's if its build has one, else torch's, which searches Flat indexes only.
    """
    faiss_gpus = load_faiss().get_num_gpus()
    if settings.device != "cpu" and faiss_gpus:
        try:
            return FaissGpu(index, settings.precision)
        except InputError:
            if settings.device == "cuda":
                raise
    elif settings.device == "cuda" or (settings.device == "auto" and resolve_device("auto") == "cuda"):
        if vectors is not None:
            from ragkit.index.dense.torch_search import TorchSearch, cuda_problem

            problem = cuda_problem()
            if problem is None:
                return TorchSearch(vectors, settings.metric, "cuda", settings.precision)
        else:
            problem = "torch searches Flat indexes only"
        if settings.device == "cuda":
            raise InputError(
                f"index.dense.device is cuda, but FAISS sees no GPU and {problem}; use auto or cpu, or install "
                "faiss-gpu or a torch that uses the GPU"
            )
    if settings.precision == "float16":
        raise InputError(
            "index.dense.precision is float16, which is for GPUs, and the index is searched on the CPU: take float32, "
            "or the factory SQfp16"
        )
    return FaissCpu(index)
