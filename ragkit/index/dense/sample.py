"""Some of the vectors of a finished dense part, to plan larger ones with."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ragkit.index.dense.embedding import Vectors
from ragkit.index.dense.facts import VECTORS
from ragkit.index.dense.library import flat_vectors, is_flat, load_faiss

_SEED = 0


def read_sample(folder: Path, deleted: NDArray[np.int64], count: int) -> Vectors | None:
    """Return vectors of up to `count` passages drawn at random, the same ones every time.

    None where the part is not Flat: other kinds do not have the vectors as they were.
    """
    faiss = load_faiss()
    index = faiss.read_index(str(folder / VECTORS), faiss.IO_FLAG_MMAP_IFC)
    if not is_flat(faiss, index):
        return None
    live = np.setdiff1d(np.arange(index.ntotal), deleted)
    chosen = np.sort(np.random.default_rng(_SEED).choice(live, min(count, len(live)), replace=False))
    return np.array(flat_vectors(faiss, index)[chosen])
