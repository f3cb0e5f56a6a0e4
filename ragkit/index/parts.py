"""The parts that an index can have, in one table: a further kind of part is a further row."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragkit.index.dense import DenseIndex, DenseSettings, build_dense
from ragkit.index.part import Growth, OpenPart
from ragkit.index.sparse import ANALYSIS, SparseIndex, SparseSettings, build_sparse


@dataclass(frozen=True, slots=True)
class PartKind:
    """What the index needs to know of a kind of part. Its settings are the field of its name in `LocalIndex`.

    Attributes:
        build: writes the part's folder and returns facts for the manifest.
        open: opens the folder for searching.
        built_with: what the files depend on: the manifest keeps it, and another value is an error.
        searched_with: what rankings depend on beside the files.
        query: turns a query's text into what the part compares with passages; None where it takes the text.
    """

    build: Callable[[Any, Growth, Path], Mapping[str, Any]]
    open: Callable[[Path, Any], OpenPart]
    built_with: Callable[[Any], dict[str, Any]]
    searched_with: Callable[[Any], dict[str, Any]] = lambda settings: {}
    query: Callable[[Any, str], Awaitable[Any]] | None = None


async def _vector(settings: DenseSettings, query: str) -> Any:
    return await settings.encoder.embed(query)


def _bm25(settings: SparseSettings) -> dict[str, Any]:
    return settings.model_dump(exclude={"engine"}) | {"analysis": ANALYSIS}


PARTS: dict[str, PartKind] = {
    "dense": PartKind(
        build_dense,
        DenseIndex,
        DenseSettings.built_with,
        DenseSettings.searched_with,
        query=_vector,
    ),
    "sparse": PartKind(build_sparse, SparseIndex, _bm25),
}
"""All kinds of parts by their key under `index:`."""
