"""Late interaction: a vector for each token, and for each token of the query its most similar one of the passage.

Source: Khattab and Zaharia 2020, ColBERT: efficient and effective passage search, arXiv 2004.12832 (MaxSim, eq. 3).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ragkit.errors import RagkitError
from ragkit.index.list_shards import Pack, embed_lists
from ragkit.index.lists import Block, Columns, Lists, ListsWriter
from ragkit.index.part import Growth, PartSettings, Ranking, Selection
from ragkit.index.top import best
from ragkit.models.base import MultiVectorEncoder

_COLUMN = "vectors"
_TOKENS = 32_768
_SCORES = 1 << 25  # held at once: of a few queries where there are many passages

Precision = Literal["float16", "float32"]
Vectors = NDArray[np.float32]


class MultiVectorSettings(PartSettings):
    """The token vectors of an index, all of which a search looks at (exact MaxSim)."""

    encoder: MultiVectorEncoder = Field(description="The model that turns passages and queries into token vectors.")
    precision: Precision = Field("float16", description="How the vectors are kept on disk; scores are in float32.")

    def built_with(self) -> dict[str, Any]:
        """Return what the files depend on."""
        return {"encoder": self.encoder.describe(), "precision": self.precision}

    def searched_with(self) -> dict[str, Any]:
        """Return what else rankings depend on."""
        return {"encoder": self.encoder.fingerprint()}

    async def query(self, text: str) -> Vectors:
        """Return what is compared with passages."""
        return await self.encoder.embed_tokens(text)


def build_multi_vector(settings: MultiVectorSettings, growth: Growth, folder: Path) -> dict[str, Any]:
    """Embed what `growth` adds and write the token vectors of all passages.

    Returns:
        Facts for the manifest: the `dimension` of the vectors (None without any passage) and how many `tokens` there
        are.

    Raises:
        RagkitError: the encoder failed on a passage, or gave vectors of several dimensions.
    """
    with ListsWriter(folder, {_COLUMN: settings.precision}) as writer:
        if growth.previous is not None:
            writer.take_over(Lists(growth.previous, (_COLUMN,)), growth)
        shards = embed_lists(settings.encoder, "embed_tokens", growth, _packer(settings.precision), settings.precision)
        for sizes, columns in shards:
            writer.add(sizes, columns)
    vectors = Lists(folder, (_COLUMN,)).columns[_COLUMN]
    return {"dimension": vectors.shape[1] if len(vectors) else None, "tokens": len(vectors)}


def _packer(precision: Precision) -> Pack:
    def pack(replies: Sequence[Any]) -> tuple[Sequence[int], Columns]:
        matrices = [np.asarray(reply) for reply in replies if reply is not None]
        sizes = [0 if reply is None else len(reply) for reply in replies]
        filled = [matrix for matrix in matrices if len(matrix)]
        vectors = np.concatenate(filled) if filled else np.empty(0)
        with np.errstate(over="ignore"):
            kept = vectors.astype(precision)
        if not np.isfinite(kept).all():
            raise RagkitError(f"the encoder's vectors hold NaN, or numbers too large for precision: {precision}")
        return sizes, {_COLUMN: kept}

    return pack


class MultiVectorIndex:
    """Token vectors opened for searching."""

    def __init__(self, folder: Path, settings: MultiVectorSettings) -> None:
        self._lists = Lists(folder, (_COLUMN,))

    def search(self, queries: Sequence[Vectors], k: int, allowed: Selection | None = None) -> list[Ranking]:
        """Return the k passages of the highest MaxSim, equals in the order of their positions.

        MaxSim is the sum, over the tokens of the query, of the highest inner product with a token of the passage.
        Passages without tokens are not found. The vectors are read once for many queries, but multiplied query by
        query, because a larger product gives other last digits.

        Raises:
            RagkitError: a query's vectors have another dimension than the index.
        """
        filled = self._lists.sizes > 0
        wanted = filled if allowed is None else allowed & filled
        step = max(1, _SCORES // max(1, len(filled)))
        starts = range(0, len(queries), step)
        return [ranking for start in starts for ranking in self._search(queries[start : start + step], k, wanted)]

    def _search(self, queries: Sequence[Vectors], k: int, wanted: Selection) -> list[Ranking]:
        scores = np.full((len(queries), len(wanted)), -np.inf, np.float32)
        for block in self._lists.blocks(_TOKENS):
            chosen = wanted[block.first : block.first + len(block.sizes)]
            if chosen.any():
                places = block.first + np.flatnonzero(chosen)
                vectors, starts = _chosen(block, chosen)
                for row, query in zip(scores, queries, strict=True):
                    row[places] = np.maximum.reduceat(_products(vectors, query), starts, axis=0).sum(axis=1)
        return [best(row, k, floor=-np.inf) for row in scores]


def max_sim(query: Vectors, passage: Vectors) -> float:
    """Return the sum over the tokens of a query of the highest inner product with a token of a passage; 0 of none.

    Raises:
        RagkitError: the vectors have different dimensions.
    """
    if not len(passage) or not len(query):
        return 0.0
    return float(_products(passage, query).max(axis=0).sum())


def _chosen(block: Block, chosen: NDArray[np.bool_]) -> tuple[Vectors, NDArray[np.int64]]:
    """Return the token vectors of some passages of a block in float32, and where each passage starts."""
    vectors = block.columns[_COLUMN]
    if not chosen.all():
        vectors = vectors[np.repeat(chosen, block.sizes)]
    ends = np.cumsum(block.sizes[chosen], dtype=np.int64)
    return vectors.astype(np.float32), ends - block.sizes[chosen]


def _products(vectors: Vectors, query: Vectors) -> Vectors:
    if query.ndim != 2 or query.shape[1] != vectors.shape[1]:
        raise RagkitError(
            f"the query's vectors have shape {query.shape}, those of passages {vectors.shape[1]} dimensions"
        )
    return vectors @ query.T
