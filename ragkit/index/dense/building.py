"""Building the dense part: embed, train, fill, write."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ragkit.errors import InputError, RagkitError
from ragkit.index.dense.embedding import Vectors
from ragkit.index.dense.factory import check_training, make, sample_size, train
from ragkit.index.dense.facts import VECTORS, DenseFacts
from ragkit.index.dense.flat_file import known_layout, write_flat
from ragkit.index.dense.library import flat_vectors, is_flat, layers, load_faiss, reason
from ragkit.index.dense.settings import DenseSettings
from ragkit.index.dense.shards import SHARD, Shard, embed_shards
from ragkit.index.part import Growth

_SEED = 0


def build_dense(settings: DenseSettings, growth: Growth, folder: Path) -> dict[str, Any]:
    """Embed what `growth` adds and write the dense part into `folder` (created if need be); return facts about it.

    Vectors are kept in shards under `growth.work` as they are made; a build that was killed finds them again. Memory:
    a Flat index takes a few shards, however many vectors it holds; other kinds take what they need to be searched
    (IVF and HNSW up to twice that while their lists grow) and the sample to train on.

    Raises:
        InputError: the factory does not fit the vectors (what would fit is named), or the encoder's vectors do not
            fit those of the build that is continued.
        RagkitError: the encoder failed on a passage, or gave NaN.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = DenseFacts.load(growth.previous) if growth.previous else None
    if before and growth.kept is not None and not _is_written_straight(settings, before.dimension):
        growth, before = replace(growth, previous=None, start=0, kept=None), None  # codes and graphs cannot be picked
    if growth.previous and before and growth.kept is None and growth.start == len(growth.texts):
        shutil.copyfile(growth.previous / VECTORS, folder / VECTORS)
        before.save(folder)
        return asdict(before)
    shards, dimension = _embedded(settings, growth, before.dimension if before else None)
    index = make(settings.factory, dimension, settings.metric)
    if _is_written_straight(settings, dimension):
        _write_flat(index, growth, shards, folder / VECTORS)
    else:
        load_faiss().write_index(_filled(settings, index, growth, shards), str(folder / VECTORS))
    _verify(settings, folder / VECTORS, dimension, len(growth.texts))
    longest = 1.0 if settings.metric == "cosine" else max((_longest(s, dimension) for s in shards), default=0.0)
    facts = DenseFacts(dimension, max(longest, before.longest if before else 0.0))
    facts.save(folder)
    return asdict(facts)


def _embedded(settings: DenseSettings, growth: Growth, dimension: int | None) -> tuple[list[Shard], int]:
    """Embed what is new, and check that its vectors have one dimension: the one given, if any."""
    shards: list[Shard] = []
    for shard in embed_shards(settings, growth):
        shards.append(shard)
        found = shard.dimension
        if dimension is None and found is not None:
            # Whether the factory fits is known now, and not only after hours of embedding.
            check_training(settings.factory, make(settings.factory, found, settings.metric), len(growth.texts))
            dimension = found
        if found not in (dimension, None):
            raise RagkitError(
                f"the encoder gave vectors of {found} dimensions for the passages from {shard.first + 1} on, "
                f"those before them have {dimension}"
            )
    if dimension is None:
        raise RagkitError("there are no passages to embed")
    return shards, dimension


def _is_written_straight(settings: DenseSettings, dimension: int) -> bool:
    index = make(settings.factory, dimension, settings.metric)
    return is_flat(load_faiss(), index) and known_layout(load_faiss(), index)


def _write_flat(empty: Any, growth: Growth, shards: Sequence[Shard], path: Path) -> None:
    """Write a Flat index straight from the earlier file and the shards."""
    faiss = load_faiss()

    def earlier() -> Iterator[Vectors]:
        if growth.previous:
            vectors = flat_vectors(faiss, _continued(growth.previous, growth, faiss.IO_FLAG_MMAP_IFC))
            for first in range(0, growth.start, SHARD):
                rows = slice(first, min(first + SHARD, growth.start))
                yield vectors[rows] if growth.kept is None else vectors[growth.kept[rows]]

    added = (shard.read(empty.d) for shard in shards)
    write_flat(faiss, empty, len(growth.texts), chain(earlier(), added), path)


def _filled(settings: DenseSettings, index: Any, growth: Growth, shards: Sequence[Shard]) -> Any:
    """Return the index with all vectors, in memory: trained and filled, or the earlier one with the new ones added."""
    faiss = load_faiss()
    if growth.previous:
        index = _continued(growth.previous, growth)
    elif not index.is_trained:
        train(settings.factory, index, _sample(settings, index, shards))
    _reserve(faiss, index, len(growth.texts))
    for shard in shards:
        try:
            index.add(shard.read(index.d))
        except RuntimeError as error:
            raise InputError(
                f"index.dense.factory '{settings.factory}' cannot be filled piece by piece: {reason(error)}"
            ) from None
    return index


def _continued(folder: Path, growth: Growth, flags: int = 0) -> Any:
    """Return the index of an earlier build."""
    index = load_faiss().read_index(str(folder / VECTORS), flags)
    if growth.kept is None and index.ntotal != growth.start:
        raise InputError(f"{folder / VECTORS} holds {index.ntotal} vectors, {growth.start} are expected; rebuild it")
    return index


def _sample(settings: DenseSettings, index: Any, shards: Sequence[Shard]) -> Vectors:
    """Return vectors of passages drawn at random, the same ones in every build."""
    counts = [int(shard.live.sum()) for shard in shards]
    size = sample_size(settings, index, sum(counts))
    chosen = np.sort(np.random.default_rng(_SEED).choice(sum(counts), size, replace=False))
    sample = np.empty((size, index.d), dtype=np.float32)
    start = filled = 0
    for shard, count in zip(shards, counts, strict=True):
        rows = chosen[(chosen >= start) & (chosen < start + count)] - start
        sample[filled : filled + len(rows)] = shard.read(index.d)[shard.live][rows]
        start, filled = start + count, filled + len(rows)
    return sample


def _reserve(faiss: Any, index: Any, count: int) -> None:
    """Let codes grow in place: a vector of C++ that is full doubles, and holds both copies meanwhile."""
    for layer in layers(faiss, index):
        if isinstance(layer, faiss.IndexFlatCodes):
            used = layer.codes.size()
            layer.codes.resize(count * layer.code_size)
            layer.codes.resize(used)


def _verify(settings: DenseSettings, path: Path, dimension: int, count: int) -> None:
    """Open what was written: FAISS can make kinds of indexes that it cannot read back."""
    faiss = load_faiss()
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise InputError(f"index.dense.factory '{settings.factory}' cannot be kept on disk: {reason(error)}") from None
    if (index.d, index.ntotal) != (dimension, count):
        raise RagkitError(f"{path} holds {index.ntotal} x {index.d} values, {count} x {dimension} are expected")


def _longest(shard: Shard, dimension: int) -> float:
    return float(np.linalg.norm(shard.read(dimension), axis=1).max())
