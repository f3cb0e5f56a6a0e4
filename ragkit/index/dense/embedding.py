"""Embedding passages with a local or a remote encoder."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ragkit.engine.batching import Outcome, execute_in_batches
from ragkit.engine.calls import LocalResource, RemoteResource, Reply, Request
from ragkit.errors import RagkitError
from ragkit.index.dense.library import load_faiss
from ragkit.models.base import Encoder

Vectors = NDArray[np.float32]


def embed_passages(
    encoder: Encoder, texts: Sequence[str], names: Sequence[str], on_done: Callable[[int], None]
) -> Vectors:
    """Return the vectors of passages as the encoder gives them, shape (len(texts), dimension), float32.

    Args:
        encoder: a local or remote encoder.
        texts: at least one passage.
        names: what to call the passages in errors.
        on_done: called with the number of passages embedded so far.

    Raises:
        RagkitError: the encoder failed on a passage, or its vector is none.
    """
    vectors: Vectors | None = None
    done = 0

    def collect(positions: Sequence[int], outcomes: Sequence[Outcome]) -> None:
        nonlocal vectors, done
        for position, outcome in zip(positions, outcomes, strict=True):
            if isinstance(outcome, Exception):
                raise RagkitError(f"the encoder failed on {names[position]}: {outcome}") from outcome
            vector = checked(outcome.value, names[position])
            if vectors is None:
                vectors = np.empty((len(texts), vector.size), dtype=np.float32)
            if vector.size != vectors.shape[1]:
                raise RagkitError(
                    f"the encoder's vector of {names[position]} has {vector.size} dimensions, "
                    f"those before it had {vectors.shape[1]}"
                )
            vectors[position] = vector
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


def checked(value: object, name: str) -> Vectors:
    """Return a vector as float32.

    Raises:
        RagkitError: it is not one-dimensional, or holds NaN or infinity, or is longer than float32 can tell.
    """
    vector = np.asarray(value, dtype=np.float32)
    if vector.ndim != 1 or not np.isfinite(np.dot(vector, vector)):
        raise RagkitError(f"the encoder's vector of {name} has shape {vector.shape} or holds NaN or infinity")
    return vector


def scale(vectors: Vectors) -> None:
    """Scale vectors, the rows of a contiguous array, to length 1 in place; zero vectors stay as they are.

    FAISS does it row by row: the digits of a row do not depend on the others.
    """
    load_faiss().normalize_L2(vectors)


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
