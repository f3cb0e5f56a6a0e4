"""Learned sparse retrieval: texts as weights of a vocabulary's terms, compared by their dot product.

Source: Formal et al. 2021, SPLADE: sparse lexical and expansion model for first stage ranking, arXiv 2107.05720.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ragkit.index.inverted import Inverted, Triple, write_inverted
from ragkit.index.list_shards import embed_lists
from ragkit.index.lists import Columns, Lists, ListsWriter
from ragkit.index.part import Growth, PartSettings, Ranking, Selection
from ragkit.index.top import best
from ragkit.models.base import SparseEncoder, SparseVector, sparse_vector

_VECTORS = "vectors"
_COLUMNS = {"dimensions": "<i4", "weights": "<f4"}


class LearnedSparseSettings(PartSettings):
    """The learned sparse vectors of an index."""

    encoder: SparseEncoder = Field(description="The model that gives passages and queries weights of terms.")

    def built_with(self) -> dict[str, Any]:
        """Return what the files depend on."""
        return {"encoder": self.encoder.describe()}

    def searched_with(self) -> dict[str, Any]:
        """Return what else rankings depend on."""
        return {"encoder": self.encoder.fingerprint()}

    async def query(self, text: str) -> SparseVector:
        """Return what is compared with passages."""
        return await self.encoder.embed_sparse(text)


def build_learned_sparse(settings: LearnedSparseSettings, growth: Growth, folder: Path) -> dict[str, Any]:
    """Embed what `growth` adds and write the vectors, by passage (to grow from) and by dimension (to search in).

    Returns:
        Facts for the manifest: the number of `dimensions` up to the highest one in use.

    Raises:
        RagkitError: the encoder failed on a passage.
    """
    with ListsWriter(folder / _VECTORS, _COLUMNS) as writer:
        if growth.previous is not None:
            writer.take_over(Lists(growth.previous / _VECTORS, tuple(_COLUMNS)), growth)
        for sizes, columns in embed_lists(settings.encoder, "embed_sparse", growth, _pack, "float32"):
            writer.add(sizes, columns)
    vectors = Lists(folder / _VECTORS, tuple(_COLUMNS))
    holders = np.zeros(0, np.int64)
    for block in vectors.blocks():
        counts = np.bincount(block.columns["dimensions"], minlength=len(holders))
        counts[: len(holders)] += holders
        holders = counts
    write_inverted(_triples(vectors), holders, folder)
    return {"dimensions": len(holders)}


def _triples(vectors: Lists) -> Iterator[Triple]:
    for block in vectors.blocks():
        yield block.first, block.sizes, block.columns["dimensions"], block.columns["weights"]


def _pack(replies: Sequence[Any]) -> tuple[Sequence[int], Columns]:
    empty = SparseVector(np.empty(0, np.int32), np.empty(0, np.float32))
    vectors = [empty, *(empty if reply is None else sparse_vector(reply) for reply in replies)]
    sizes = [len(vector.weights) for vector in vectors[1:]]
    return sizes, {
        "dimensions": np.concatenate([vector.dimensions for vector in vectors]),
        "weights": np.concatenate([vector.weights for vector in vectors]),
    }


class LearnedSparseIndex:
    """Learned sparse vectors opened for searching."""

    def __init__(self, folder: Path, settings: LearnedSparseSettings) -> None:
        self._columns = Inverted.open(folder)
        self._passages = len(Lists(folder / _VECTORS, ()).sizes)

    def search(self, queries: Sequence[SparseVector], k: int, allowed: Selection | None = None) -> list[Ranking]:
        """Return the k passages with the highest dot product above 0, equals in the order of their positions."""
        return [best(self._scores(query), k, allowed) for query in queries]

    def _scores(self, query: SparseVector) -> NDArray[np.float32]:
        scores = np.zeros(self._passages, np.float32)
        for dimension, weight in zip(query.dimensions, query.weights, strict=True):
            if dimension < len(self._columns.starts) - 1:
                positions, weights = self._columns.column(dimension)
                np.add.at(scores, positions, weights * weight)
        return scores
