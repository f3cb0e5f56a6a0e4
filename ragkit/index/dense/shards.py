"""The vectors of a build on disk, some thousand passages a file, so that a killed build need not embed them again."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ragkit.index.dense.embedding import Vectors, embed_passages, scale
from ragkit.index.dense.settings import DenseSettings
from ragkit.index.part import Growth

SHARD = 4096
"""Passages in a file: a few seconds to minutes of an encoder's work, a few megabytes."""


class Shard(NamedTuple):
    """The vectors at positions first, ..., first + count - 1.

    Attributes:
        live: which of the positions hold a passage; deleted ones have no row in the file.
        path: a `.npy` file; None where no passage is live.
    """

    first: int
    live: NDArray[np.bool_]
    path: Path | None

    @property
    def dimension(self) -> int | None:
        """Of the vectors; None where no passage is live."""
        if self.path is None:
            return None
        return int(np.load(self.path, mmap_mode="r", allow_pickle=False).shape[1])

    def read(self, dimension: int) -> Vectors:
        """Return the vectors by position, zeros where the passage was deleted."""
        vectors = np.zeros((len(self.live), dimension), dtype=np.float32)
        if self.path is not None:
            vectors[self.live] = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return vectors


def embed_shards(settings: DenseSettings, growth: Growth) -> Iterator[Shard]:
    """Embed the passages that are new, shard by shard; shards that an earlier build left behind are taken as they are.

    A shard is named by everything its vectors depend on (the encoder's description, the scaling, the texts), so a
    stale one is never taken.

    Raises:
        RagkitError: the encoder failed on a passage, gave NaN, or vectors of several dimensions in one shard.
    """
    growth.work.mkdir(parents=True, exist_ok=True)
    scaled = settings.metric == "cosine"
    key = json.dumps([settings.encoder.describe(), scaled], sort_keys=True, default=str)
    deleted = set(growth.deleted.tolist())
    done = 0
    for first, texts in growth.pieces(SHARD):
        live = np.array([first + offset not in deleted for offset in range(len(texts))])
        kept = [text for text, alive in zip(texts, live, strict=True) if alive]
        path = None
        if kept:
            path = growth.work / f"{_digest(key, kept)}.npy"
            if not _holds(path, len(kept)):
                names = [f"passage {first + offset + 1}" for offset in np.flatnonzero(live)]
                on_done = _shifted(growth.on_done, done)
                vectors = embed_passages(settings.encoder, kept, names, on_done)
                if scaled:
                    scale(vectors)
                _write(path, vectors)
        done += len(texts)
        growth.on_done(done)
        yield Shard(first, live, path)


def _shifted(on_done: Callable[[int], None], before: int) -> Callable[[int], None]:
    return lambda done: on_done(before + done)


def _digest(key: str, texts: Sequence[str]) -> str:
    digest = hashlib.sha256(key.encode())
    digest.update(json.dumps(texts).encode())
    return digest.hexdigest()


def _holds(path: Path, rows: int) -> bool:
    """Tell whether a file holds a whole shard; one that a failing disk cut short is made anew."""
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        return False
    return vectors.ndim == 2 and len(vectors) == rows and vectors.dtype == np.float32


def _write(path: Path, vectors: Vectors) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        np.save(file, vectors, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
