"""Vectors and FAISS."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragkit.engine.batching import Outcome, execute_in_batches
from ragkit.engine.calls import LocalResource, RemoteResource, Reply, Request
from ragkit.errors import InputError, RagkitError, need
from ragkit.index.part import Ranking
from ragkit.index.settings import Device
from ragkit.models.base import Encoder

_SPARE_CANDIDATES = 16


def embed_passages(encoder: Encoder, texts: Sequence[str], on_done: Callable[[int], None]) -> NDArray[np.float32]:
    """Return the vectors of passages, shape (len(texts), dimension), float32, of unit length.

    Args:
        encoder: a local or remote encoder.
        texts: at least one passage.
        on_done: called with the number of passages embedded so far.

    Raises:
        RagkitError: the encoder failed on a passage.
    """
    vectors: NDArray[np.float32] | None = None
    done = 0

    def collect(positions: Sequence[int], outcomes: Sequence[Outcome]) -> None:
        nonlocal vectors, done
        for position, outcome in zip(positions, outcomes, strict=True):
            if isinstance(outcome, Exception):
                raise RagkitError(f"the encoder failed on passage {position + 1}: {outcome}") from outcome
            vector = np.asarray(outcome.value, dtype=np.float32)
            if vectors is None:
                vectors = np.empty((len(texts), vector.size), dtype=np.float32)
            vectors[position] = unit(vector, f"passage {position + 1}")
        done += len(positions)
        on_done(done)

    requests = [Request("embed", {"text": text, "kind": "passage"}) for text in texts]
    if isinstance(encoder, LocalResource):
        execute_in_batches(encoder, requests, collect)
    elif isinstance(encoder, RemoteResource):
        _attempt_all(encoder, requests, collect)
    else:
        raise RagkitError(f"{type(encoder).__name__} is neither a LocalResource nor a RemoteResource")
    if vectors is None:
        raise RagkitError("there are no passages to embed")
    return vectors


def _attempt_all(
    encoder: RemoteResource, requests: Sequence[Request], collect: Callable[[Sequence[int], Sequence[Reply]], None]
) -> None:
    """Run the attempts of a remote encoder, `concurrency` at a time; the first failure ends them all."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    async def run() -> None:
        waiting = iter(enumerate(requests))

        async def work() -> None:
            for position, request in waiting:
                collect([position], [await encoder.attempt(request)])

        async with asyncio.TaskGroup() as group:
            for _ in range(encoder.concurrency):
                group.create_task(work())

    # In a thread of its own, because the caller may stand in a running event loop (a notebook).
    with ThreadPoolExecutor(1) as thread:
        try:
            thread.submit(asyncio.run, run()).result()
        except ExceptionGroup as group:
            raise RagkitError(f"the encoder failed: {group.exceptions[0]}") from group.exceptions[0]


def unit(vector: NDArray[np.float32], what: str) -> NDArray[np.float32]:
    """Return a vector scaled to length 1 (a zero vector stays as it is).

    Raises:
        RagkitError: the vector is not one-dimensional, or holds NaN or infinity.
    """
    length = float(np.linalg.norm(vector))
    if vector.ndim != 1 or not np.isfinite(length):
        raise RagkitError(f"the encoder's vector of {what} has shape {vector.shape} or holds NaN or infinity")
    return vector / length if length > 0 else vector


def build_dense(vectors: NDArray[np.float32], factory: str, path: Path) -> None:
    """Train and fill a FAISS index by inner product, and write it.

    Raises:
        InputError: FAISS does not know the factory string, or cannot train it on so few vectors.
    """
    faiss = _faiss()
    try:
        index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
        if not index.is_trained:
            index.train(vectors)
        index.add(vectors)
    except RuntimeError as error:
        reason = str(error).rsplit(": ", 1)[-1]
        raise InputError(f"index.dense.factory '{factory}' with {len(vectors)} vectors: {reason}") from None
    faiss.write_index(index, str(path))


class DenseIndex:
    """A FAISS index opened for searching.

    FAISS finds the candidates of all queries at once. An exact (Flat) index then scores each query's candidates in
    an order of summation of its own, because a matrix product gives other last digits in another batch: a query's
    ranking does not depend on the queries beside it.

    Attributes:
        device_used: `cpu` or `cuda`.
    """

    def __init__(self, path: Path, device: Device) -> None:
        faiss = _faiss()
        gpus = faiss.get_num_gpus()
        if device == "cuda" and gpus == 0:
            raise InputError("index.dense.device is cuda, but FAISS sees no GPU; use auto or cpu, or install faiss-gpu")
        # The newer flag maps Flat and HNSW indexes too; the older one only inverted lists.
        index = faiss.read_index(str(path), getattr(faiss, "IO_FLAG_MMAP_IFC", faiss.IO_FLAG_MMAP))
        self.device_used = "cuda" if gpus and device != "cpu" else "cpu"
        self._cpu_index = index  # owns the memory of _vectors
        self._vectors = _flat_vectors(faiss, index)
        if self.device_used == "cuda":
            self._gpu = faiss.StandardGpuResources()
            index = faiss.index_cpu_to_gpu(self._gpu, 0, index)
        self._index = index

    def search(self, vectors: Sequence[NDArray[np.float32]], k: int) -> list[Ranking]:
        """Return the k nearest passages of each query by cosine, fewer if the index holds fewer.

        Raises:
            RagkitError: a vector has another dimension than the index.
        """
        queries = np.stack([unit(vector, "the query") for vector in vectors])
        if queries.shape[1] != self._index.d:
            raise RagkitError(f"the query has {queries.shape[1]} dimensions, the index {self._index.d}")
        spare = _SPARE_CANDIDATES if self._vectors is not None else 0
        scores, positions = self._index.search(queries, min(k + spare, self._index.ntotal))
        return [self._ranking(*found)[:k] for found in zip(queries, scores, positions, strict=True)]

    def _ranking(
        self, query: NDArray[np.float32], scores: NDArray[np.float32], positions: NDArray[np.int64]
    ) -> Ranking:
        found = positions >= 0  # FAISS pads with -1
        positions, scores = positions[found], scores[found]
        if self._vectors is not None:
            scores = np.einsum("kd,d->k", self._vectors[positions], query)
        order = np.lexsort((positions, -scores))
        return list(zip(positions[order].tolist(), scores[order].tolist(), strict=True))


def _flat_vectors(faiss: Any, index: Any) -> NDArray[np.float32] | None:
    """Return the vectors of a Flat index as a view of its memory, None for other indexes."""
    if not isinstance(index, faiss.IndexFlat):
        return None
    vectors: NDArray[np.float32] = faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d)
    return vectors.reshape(index.ntotal, index.d)


def _faiss() -> Any:
    return need("faiss", "faiss-cpu", "a dense index")
