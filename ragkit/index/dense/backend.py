"""What can search the vectors: FAISS on the CPU or a GPU here, torch in torch_search.py."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import InputError
from ragkit.index.dense.embedding import Vectors
from ragkit.index.dense.library import layers, load_faiss, reason
from ragkit.index.dense.parameters import ef_search, restricted, selector
from ragkit.index.dense.settings import Precision
from ragkit.index.part import Selection

Found = tuple[Vectors, NDArray[np.int64]]
"""Scores, higher is better, and positions, both of shape (queries, fetch), best first; position -1 pads."""

_FAISS_GPU_MOST = 2048
_FEW = 0.1


class Backend(Protocol):
    """Finds candidates.

    Attributes:
        device_used: `cpu`, or `cuda` with the library that uses it.
        precision_used: how the vectors are kept on that device.
        graph_width: how many candidates a graph keeps; None for other indexes.
    """

    device_used: str
    precision_used: str
    graph_width: int | None

    def selects(self, queries: int, allowed: Selection) -> bool:
        """Tell whether a search of so many queries leaves out what is not allowed; else the caller drops it."""
        ...

    def find(self, queries: Vectors, fetch: int, allowed: Selection | None) -> Found:
        """Return up to `fetch` candidates of each query."""
        ...


class FaissCpu:
    """FAISS on the CPU, over a memory map."""

    device_used = "cpu"
    precision_used = "float32"

    def __init__(self, index: Any) -> None:
        faiss = load_faiss()
        self._faiss = faiss
        self._sign = -1.0 if index.metric_type == faiss.METRIC_L2 else 1.0
        self._index = index
        # A batch of queries is a matrix product, whose last digits depend on the batch: one at a time.
        self._steps: list[Any] = []
        self._core = faiss.downcast_index(index)
        if isinstance(self._core, faiss.IndexPreTransform):
            chain = self._core.chain
            self._steps = [faiss.downcast_VectorTransform(chain.at(number)) for number in range(chain.size())]
            self._core = faiss.downcast_index(self._core.index)
        self.graph_width = ef_search(index)
        self._has_selector = restricted(self._core, faiss.IDSelectorAll(), everywhere=False) is not None

    def find(self, queries: Vectors, fetch: int, allowed: Selection | None) -> Found:
        for step in self._steps:
            queries = np.concatenate([step.apply(query[None]) for query in queries])
        parameters, index = None, self._core
        if allowed is not None and self.selects(len(queries), allowed):
            few = float(allowed.mean()) < _FEW
            if few and isinstance(index, self._faiss.IndexHNSW):
                # A graph finds its way over passages that are not wanted: where they are most, a scan costs less.
                index = self._faiss.downcast_index(index.storage)
            parameters = restricted(index, selector(allowed), everywhere=few)
        scores, positions = index.search(queries, fetch, params=parameters)
        return self._sign * scores, positions

    def selects(self, queries: int, allowed: Selection) -> bool:
        if isinstance(self._core, self._faiss.IndexFlat):
            # From this many queries on FAISS multiplies matrices, but not with a selector, which a few deletions are
            # not worth.
            products_from = self._faiss.cvar.distance_compute_blas_threshold
            return queries < products_from or float(allowed.mean()) < 1 - _FEW
        return self._has_selector


class FaissGpu:
    """FAISS on a GPU; what it cannot do (more than 2,048 results) is done by the CPU index beside it."""

    device_used = "cuda, faiss"
    graph_width: int | None = None

    def __init__(self, index: Any, precision: Precision) -> None:
        faiss = load_faiss()
        self.precision_used: str = precision
        self._sign = -1.0 if index.metric_type == faiss.METRIC_L2 else 1.0
        self._resources = faiss.StandardGpuResources()
        options = faiss.GpuClonerOptions()
        options.useFloat16 = precision == "float16"
        try:
            self._index = faiss.index_cpu_to_gpu(self._resources, 0, index, options)
        except RuntimeError as error:
            raise InputError(f"index.dense.device: FAISS cannot put the index on the GPU: {reason(error)}") from None
        kinds = layers(faiss, self._index)
        if not any(isinstance(kind, faiss.GpuIndex) for kind in kinds):
            # FAISS hands back a copy on the CPU for the kinds that it has no GPU version of.
            raise InputError(
                f"index.dense.device: FAISS has no GPU version of {type(faiss.downcast_index(index)).__name__}; "
                "take the factory Flat, 'IVF...,Flat' or 'IVF...,PQ...', or device: cpu"
            )
        self._beside = FaissCpu(index)

    def find(self, queries: Vectors, fetch: int, allowed: Selection | None) -> Found:
        if fetch > _FAISS_GPU_MOST:
            return self._beside.find(queries, fetch, None)
        scores, positions = self._index.search(queries, fetch)
        return self._sign * scores, positions

    def selects(self, queries: int, allowed: Selection) -> bool:
        return False  # FAISS has no selectors on a GPU
