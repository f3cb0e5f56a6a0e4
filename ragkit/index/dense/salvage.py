"""Vectors of an earlier build for the same passages, so that an index is packed without embedding them again."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ragkit.index.dense.facts import VECTORS
from ragkit.index.dense.library import flat_vectors, is_flat, load_faiss
from ragkit.index.dense.settings import DenseSettings
from ragkit.index.dense.shards import SHARD, shard_path, write_shard
from ragkit.index.part import Growth


def salvage_vectors(settings: DenseSettings, growth: Growth, previous: Path, places: NDArray[np.int64]) -> None:
    """Write the shards of a build whose vectors an earlier one holds; shards with a new passage are left to it.

    Only a Flat index has its vectors as they were; other kinds are embedded again.

    Args:
        settings: with which both are built.
        growth: of the build from nothing.
        previous: the folder of this part in the earlier build.
        places: the position of every passage in the earlier build, -1 where it has none.
    """
    faiss = load_faiss()
    index = faiss.read_index(str(previous / VECTORS), faiss.IO_FLAG_MMAP_IFC)
    if not is_flat(faiss, index):
        return
    vectors = flat_vectors(faiss, index)
    for first, texts in growth.pieces(SHARD):
        found = places[first : first + len(texts)]
        if (found >= 0).all():
            write_shard(shard_path(settings, growth, texts), vectors[found])
