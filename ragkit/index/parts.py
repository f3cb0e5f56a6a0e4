"""The parts that an index can have, in one table: a further kind of part is a further row."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragkit.engine.component import Component
from ragkit.index.part import Growth, OpenPart
from ragkit.index.settings import DenseSettings, SparseSettings


@dataclass(frozen=True, slots=True)
class PartKind:
    """What the index needs to know of a kind of part; each function gets the part's settings first.

    Attributes:
        settings: the class of its settings, which is also the type of its field in `LocalIndex`.
        build: writes the part's folder and returns facts for the manifest.
        open: opens the folder for searching.
        built_with: what the files depend on: the manifest keeps it, and another value is an error.
        searched_with: what rankings depend on beside the files.
        query: turns a query's text into what the part compares with passages.
    """

    settings: type[Component]
    build: Callable[[Any, Growth, Path], Mapping[str, Any]]
    open: Callable[[Any, Path], OpenPart]
    built_with: Callable[[Any], dict[str, Any]]
    searched_with: Callable[[Any], dict[str, Any]]
    query: Callable[[Any, str], Awaitable[Any]]


async def _text(settings: Any, query: str) -> str:
    return query


async def _vector(settings: DenseSettings, query: str) -> Any:
    return await settings.encoder.embed(query)


def _build_dense(settings: Any, growth: Growth, folder: Path) -> Mapping[str, Any]:
    from ragkit.index.dense import build_dense

    return build_dense(settings, growth, folder)


def _open_dense(settings: Any, folder: Path) -> OpenPart:
    from ragkit.index.dense import DenseIndex

    return DenseIndex(folder, settings)


def _build_sparse(settings: Any, growth: Growth, folder: Path) -> Mapping[str, Any]:
    from ragkit.index.sparse import build_sparse

    return build_sparse(settings, growth, folder)


def _open_sparse(settings: Any, folder: Path) -> OpenPart:
    from ragkit.index.sparse import SparseIndex

    return SparseIndex(folder, settings)


def _dense_record(settings: DenseSettings) -> dict[str, Any]:
    return {"encoder": settings.encoder.describe(), "factory": settings.factory}


PARTS: dict[str, PartKind] = {
    "dense": PartKind(DenseSettings, _build_dense, _open_dense, _dense_record, lambda settings: {}, _vector),
    "sparse": PartKind(
        SparseSettings, _build_sparse, _open_sparse, lambda settings: settings.model_dump(), lambda settings: {}, _text
    ),
}
"""All kinds of parts by their key under `index:`."""
