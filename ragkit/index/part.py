"""What the parts of an index (vectors, postings ...) have in common: how they are built, extended and searched."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ragkit.engine.component import Component
from ragkit.index.fields import DEFAULT_FIELDS, Passages, SearchedTexts, SearchField

Ranking = list[tuple[int, float]]
"""(position of a passage, score) pairs, best first; equal scores in the order of the positions."""

Selection = NDArray[np.bool_]
"""One truth value per position: whether a search may return the passage."""


class Texts(Protocol):
    """The passages' texts by position, read from disk in pieces; a position whose passage was deleted holds ''."""

    def __len__(self) -> int: ...

    def read(self, start: int, stop: int) -> list[str]:
        """Return the texts at positions start, ..., stop - 1."""
        ...


@dataclass(frozen=True)
class Growth:
    """What a part is to cover: everything, or what came on top of the same part of an earlier build.

    Positions never change: passages are added at the end, and a deleted passage leaves its position empty.

    Attributes:
        texts: the texts of all passages.
        work: a folder that outlives a killed build; what is found there again need not be computed again.
        previous: the folder of this part in the build that is continued; None to build from nothing.
        start: the positions below it are covered by `previous`.
        deleted: positions that no search may return any more, ascending.
        kept: where an index is packed (written anew without what was deleted): the positions in `previous` of the
            passages below `start`; None where they have not moved.
        pages: the folder with a folder for each document whose pages are kept.
        on_done: told how many of the passages from `start` on are done.
    """

    texts: Texts
    work: Path
    previous: Path | None = None
    start: int = 0
    deleted: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    kept: NDArray[np.int64] | None = None
    pages: Path | None = None
    on_done: Callable[[int], None] = lambda done: None

    def pieces(self, size: int) -> Iterator[tuple[int, list[str]]]:
        """Return (first position, texts) of the passages that `previous` does not cover, `size` at a time."""
        for first in range(self.start, len(self.texts), size):
            yield first, self.texts.read(first, min(first + size, len(self.texts)))


class PartSettings(Component):
    """Base of the settings of a part."""

    fields: tuple[SearchField, ...] = Field(
        DEFAULT_FIELDS, min_length=1, description="What of a passage is searched; what is read is always the text."
    )

    @abstractmethod
    def built_with(self) -> dict[str, Any]:
        """Return what the files depend on, as JSON data: the manifest keeps it, and another value is an error."""

    def searched_with(self) -> dict[str, Any]:
        """Return what else rankings depend on, as JSON data: it belongs to the fingerprint of an index.

        Of an encoder that is its whole fingerprint: the digits of a query's vector depend on the device.
        """
        return {}

    def texts(self, passages: Passages) -> Texts:
        """Return what the part is built from: by default the fields of the passages."""
        return SearchedTexts(passages, self.fields)

    async def query(self, text: str) -> Any:
        """Return what is compared with passages for a query: the text itself, or what a model makes of it."""
        return text


class OpenPart(Protocol):
    """A part opened for searching; several threads never use it at once."""

    def search(self, queries: Sequence[Any], k: int, allowed: Selection | None = None) -> list[Ranking]:
        """Return the best k passages of each query, fewer if fewer match.

        Args:
            queries: what the part compares with passages: texts or vectors.
            k: the longest ranking.
            allowed: the passages that may be returned (filters, deletions); None for all.
        """
        ...


@runtime_checkable
class OnDevice(Protocol):
    """A part that is searched on a device of the machine."""

    @property
    def device_used(self) -> str:
        """Where it is searched: `cpu`, `cuda, faiss` ..."""
        ...

    @property
    def precision_used(self) -> str:
        """How its numbers are kept there: `float32` or `float16`."""
        ...
