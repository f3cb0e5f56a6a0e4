"""Vectors of an earlier build for the same passages, so that an index is packed without embedding them again."""

from dataclasses import replace

from ragkit.index.dense.facts import VECTORS
from ragkit.index.dense.library import flat_vectors, is_flat, load_faiss
from ragkit.index.dense.settings import DenseSettings
from ragkit.index.dense.shards import SHARD, shard_path, write_shard
from ragkit.index.part import Growth


def salvage(settings: DenseSettings, growth: Growth) -> Growth:
    """Write the shards whose vectors an earlier build holds, for a build from nothing, which is returned.

    Only a Flat index has its vectors as they were; those of other kinds are embedded again.
    """
    anew = replace(growth, previous=None, start=0, kept=None)
    if growth.previous is None or growth.kept is None:
        return anew
    faiss = load_faiss()
    index = faiss.read_index(str(growth.previous / VECTORS), faiss.IO_FLAG_MMAP_IFC)
    if is_flat(faiss, index):
        vectors = flat_vectors(faiss, index)
        for first, texts in anew.pieces(SHARD):
            if first + len(texts) <= growth.start:
                write_shard(shard_path(settings, growth, texts), vectors[growth.kept[first : first + len(texts)]])
    return anew
