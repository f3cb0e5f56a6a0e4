"""The parts that an index can have, in one table: a further kind of part is a further row."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ragkit.index.dense import DenseIndex, build_dense
from ragkit.index.learned_sparse import LearnedSparseIndex, build_learned_sparse
from ragkit.index.multi_vector import MultiVectorIndex, build_multi_vector
from ragkit.index.page_vectors import build_pieces, build_visual
from ragkit.index.part import Growth, OpenPart
from ragkit.index.sparse import SparseIndex, build_sparse


class PartKind(NamedTuple):
    """What the index does with a kind of part; its settings, a `PartSettings`, stand under its name in `LocalIndex`.

    Attributes:
        build: writes the part's folder and returns facts for the manifest.
        open: opens the folder for searching.
    """

    build: Callable[[Any, Growth, Path], Mapping[str, Any]]
    open: Callable[[Path, Any], OpenPart]


PARTS: dict[str, PartKind] = {
    "dense": PartKind(build_dense, DenseIndex),
    "sparse": PartKind(build_sparse, SparseIndex),
    "learned_sparse": PartKind(build_learned_sparse, LearnedSparseIndex),
    "multi_vector": PartKind(build_multi_vector, MultiVectorIndex),
    "pieces": PartKind(build_pieces, MultiVectorIndex),
    "visual": PartKind(build_visual, MultiVectorIndex),
}
"""All kinds of parts by their key under `index:`."""
