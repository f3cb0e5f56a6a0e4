"""Late interaction: a vector for each token, and for each token of the query its most similar one of the passage.

Source: Khattab and Zaharia 2020, ColBERT: efficient and effective passage search, arXiv 2004.12832 (MaxSim, eq. 3).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ragkit.errors import RagkitError, need
from ragkit.index.list_shards import Pack, embed_lists
from ragkit.index.lists import Block, Columns, Lists, ListsWriter
from ragkit.index.part import Growth, PartSettings, Ranking, Selection
from ragkit.index.top import best
from ragkit.models.base import MultiVectorEncoder

_COLUMN, _SCALES = "vectors", "scales"
_TOKENS = 8_192  # multiplied at once: in float32 they fit into a core's cache
_SCORES = 1 << 25  # held at once: of a few queries where there are many passages

Precision = Literal["float16", "float32", "int8"]
Vectors = NDArray[np.float32]


class VectorListSettings(PartSettings):
    """Lists of vectors, all of which a search looks at (exact MaxSim)."""

    precision: Precision = Field(
        "float16",
        description="How the vectors are kept on disk, int8 with a scale for each vector; scores are in float32.",
    )


class MultiVectorSettings(VectorListSettings):
    """The token vectors of an index."""

    encoder: MultiVectorEncoder = Field(description="The model that turns passages and queries into token vectors.")

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
    shards = embed_lists(settings.encoder, "embed_tokens", growth, packer(settings.precision), settings.precision)
    return write_vectors(shards, settings.precision, growth, folder)


def write_vectors(
    shards: Iterable[tuple[NDArray[np.int32], Columns]], precision: Precision, growth: Growth, folder: Path
) -> dict[str, Any]:
    """Write the vectors of an earlier build and the shards of new ones; return the facts of `build_multi_vector`."""
    names = _names(precision)
    with ListsWriter(folder, names) as writer:
        if growth.previous is not None:
            writer.take_over(Lists(growth.previous, tuple(names)), growth)
        for sizes, columns in shards:
            writer.add(sizes, columns)
    vectors = Lists(folder, (_COLUMN,)).columns[_COLUMN]
    return {"dimension": vectors.shape[1] if len(vectors) else None, "tokens": len(vectors)}


def _names(precision: Precision) -> dict[str, str]:
    """Return the files of the vectors and the types of what is in them."""
    names: dict[str, str] = {_COLUMN: precision}
    return names | {_SCALES: "float32"} if precision == "int8" else names


def packer(precision: Precision) -> Pack:
    """Return what turns matrices of vectors, None for passages without any, into lists of them."""

    def pack(replies: Sequence[Any]) -> tuple[Sequence[int], Columns]:
        matrices = [np.asarray(reply) for reply in replies if reply is not None]
        sizes = [0 if reply is None else len(reply) for reply in replies]
        filled = [matrix for matrix in matrices if len(matrix)]
        vectors = np.concatenate(filled) if filled else np.empty(0)
        if precision == "int8":
            columns = quantised(vectors)
        else:
            with np.errstate(over="ignore"):
                columns = {_COLUMN: vectors.astype(precision)}
        if not all(np.isfinite(column).all() for column in columns.values()):
            raise RagkitError(f"the encoder's vectors hold NaN, or numbers too large for precision: {precision}")
        return sizes, columns

    return pack


def quantised(vectors: NDArray[np.floating]) -> dict[str, NDArray[Any]]:
    """Return vectors as bytes from -127 to 127 and the number that each vector's bytes are multiplied with."""
    if not len(vectors):
        return {_COLUMN: vectors.astype(np.int8), _SCALES: np.empty(0, np.float32)}
    scales = (np.abs(vectors).max(axis=1) / 127).astype(np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        codes = np.where(scales[:, None] > 0, np.rint(vectors / scales[:, None]), 0)
    return {_COLUMN: codes.astype(np.int8), _SCALES: scales}


def pooled(vectors: Vectors, factor: int) -> Vectors:
    """Return about 1 / factor as many vectors of length 1: the means of clusters of similar ones.

    Source: Clavié, Chaffin and Adams 2024, Reducing the Footprint of Multi-Vector Retrieval with Minimal Performance
    Impact via Token Pooling, arXiv 2409.14683 (hierarchical clustering by Ward's method).
    """
    count = -(-len(vectors) // factor)
    if factor == 1 or count == len(vectors):
        return vectors
    hierarchy: Any = need("scipy.cluster.hierarchy", "scipy", "pooling of vectors")
    owners = hierarchy.fcluster(hierarchy.linkage(vectors, "ward"), count, "maxclust") - 1
    sums = np.zeros((owners.max() + 1, vectors.shape[1]), np.float32)
    np.add.at(sums, owners, vectors)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    means: Vectors = (sums / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return means


class MultiVectorIndex:
    """Token vectors opened for searching."""

    def __init__(self, folder: Path, settings: VectorListSettings) -> None:
        self._lists = Lists(folder, tuple(_names(settings.precision)))

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
    columns = dict(block.columns)
    if not chosen.all():
        wanted = np.repeat(chosen, block.sizes)
        columns = {name: column[wanted] for name, column in columns.items()}
    ends = np.cumsum(block.sizes[chosen], dtype=np.int64)
    vectors = _as_float32(columns[_COLUMN])
    if _SCALES in columns:
        vectors *= columns[_SCALES][:, None]
    return vectors, ends - block.sizes[chosen]


def _as_float32(vectors: NDArray[Any]) -> Vectors:
    """Return a copy in float32; torch turns float16 into it several times as fast as NumPy."""
    if vectors.dtype != np.float16:
        return vectors.astype(np.float32)
    import torch

    copied: Vectors = torch.from_numpy(np.array(vectors)).float().numpy()
    return copied


def _products(vectors: Vectors, query: Vectors) -> Vectors:
    if query.ndim != 2 or query.shape[1] != vectors.shape[1]:
        raise RagkitError(
            f"the query's vectors have shape {query.shape}, those of passages {vectors.shape[1]} dimensions"
        )
    return vectors @ query.T
