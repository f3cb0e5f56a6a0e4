"""The memory of a pipeline: passages that earlier questions found useful, by their titles."""

import asyncio
import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr

from ragkit.engine.calls import Category, LocalResource, OnProgress, Reply, Request
from ragkit.engine.memory import Memory
from ragkit.engine.registry import memories
from ragkit.engine.state import Documents, Hit, Passage
from ragkit.index.dense.embedding import Vectors, checked, scale
from ragkit.memory.items import Item, MemoryField, Stored, Used
from ragkit.memory.store import ItemStore
from ragkit.memory.writing import Limits
from ragkit.models.base import Encoder

ORIGIN = "memory"
"""The stage that hits of recalled passages name."""


class Found(NamedTuple):
    """What a memory knows about a query.

    Attributes:
        popularity: how many items match, near-duplicates counted once where the memory collapses them.
        matches: key and cosine of every item that matches, in the order in which they were stored.
    """

    popularity: int
    matches: tuple[tuple[str, float], ...]


@memories.register("reservoir")
class Reservoir(Memory, LocalResource):
    """Keeps passages by their titles, and finds all whose title is near a query.

    With a `path` it lives on disk, outlives runs, and several processes may read and write it at once; without one
    every run starts empty. Questions of one wave see it as it was when the wave began.

    Source: Shi et al. 2024 (ERM4), arXiv 2407.10670, the Memory Knowledge Reservoir. Keys, limits, time to live and the
    collapse of near-duplicates are ragkit's, and off by default.
    """

    category: ClassVar[Category] = "memory"

    encoder: Encoder = Field(description="The model that turns queries and titles into vectors.")
    path: Path | None = Field(None, description="Folder that keeps it; without one every run starts empty.")
    fields: tuple[MemoryField, ...] = Field(
        ("title",),
        min_length=1,
        description="What of a passage queries are compared with (`query`: the one that brought it); its text if it "
        "has none.",
    )
    ttl: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Seconds after which a passage is forgotten."
    )
    max_items: int | None = Field(
        None, ge=1, description="The most passages; beyond it those go that were stored or recalled longest ago."
    )
    collapse: float | None = Field(
        None, gt=0, le=1, description="Matches whose titles are at least so similar (cosine) count as one."
    )

    _store: ItemStore | None = PrivateAttr(default=None)
    _temporary: Any = PrivateAttr(default=None)

    def fingerprint(self) -> str:
        settings = {"collapse": self.collapse, "fields": self.fields, "ttl": self.ttl, "max_items": self.max_items}
        return json.dumps(["reservoir", settings, self.encoder.fingerprint()])

    @property
    def outlives_runs(self) -> bool:
        return self.path is not None

    @property
    def store(self) -> ItemStore:
        """What is kept, opened at the first use.

        Raises:
            InputError: the folder's memory was made with another encoder or other fields, or is damaged.
        """
        if self._store is None:
            if self.path is None:
                self._temporary = tempfile.TemporaryDirectory(prefix="ragkit-memory-")
            folder = self.path or Path(self._temporary.name)
            settings = {"encoder": self.encoder.describe(), "fields": list(self.fields)}
            self._store = ItemStore(folder, settings, Limits(self.ttl, self.max_items))
        return self._store

    @property
    def count(self) -> int:
        """The number of passages, as the current wave sees them."""
        return len(self.store)

    def prepare(self, on_progress: OnProgress) -> None:
        """Open what is kept, so that a memory of another encoder is refused before a run begins."""
        self.store.refresh()

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
        if self._temporary is not None:
            self._temporary.cleanup()
        self._store = self._temporary = None

    def reset(self) -> None:
        if self.path is None and self.count:
            self.store.clear()
        else:
            self.store.refresh()

    def merge(self, items: Sequence[Any]) -> None:
        self.store.apply(items)

    def end_wave(self) -> None:
        super().end_wave()
        self.store.refresh()  # what other processes have written meanwhile

    async def find(self, query: str, tau: float) -> Found:
        """Return every passage whose title has a cosine of at least `tau` with a query; an empty memory asks nobody."""
        if not self.count:
            return Found(0, ())
        vector = await self.encoder.embed(query)
        args = {"query": query, "tau": tau, "state": self.store.state}
        popularity, matches = (await self.call("find", args, payload=vector)).value
        return Found(popularity, tuple((key, cosine) for key, cosine in matches))

    def recall(self, query: str, matches: Iterable[tuple[str, float]]) -> Documents:
        """Return the passages of matches, the most similar first, equal ones in the order of the matches."""
        ranked = sorted(matches, key=lambda match: -match[1])
        found = self.store.get([key for key, _ in ranked])
        if self.max_items is not None and ranked:
            self.write(Used(tuple(key for key, _ in ranked)))
        return tuple(
            found[key].passage.model_copy(update={"score": cosine, "hits": (Hit(ORIGIN, query, rank, cosine),)})
            for rank, (key, cosine) in enumerate(ranked, start=1)
            if key in found  # by hand, a passage may have been forgotten since it was found
        )

    async def remember(self, passages: Sequence[Passage]) -> None:
        """Hand in passages; they are in the memory when the wave ends, and at once outside a run.

        Raises:
            InputError: metadata of a passage are no JSON.
        """
        await self.remember_items([Item.of(passage, self.fields) for passage in passages])

    async def remember_items(self, items: Sequence[Item]) -> None:
        """Hand in items; only titles that the memory does not know are embedded."""
        if items:
            vectors = np.stack(await asyncio.gather(*map(self._vector, items)))
            self.write(Stored(tuple(items), vectors))

    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        """Answer lookups with [popularity, [[key, cosine], ...]]."""
        return [Reply(self._find(request.payload, request.args["tau"])) for request in batch]

    def _find(self, query: Vectors, tau: float) -> list[Any]:
        matches, positions = self.store.match(_unit(query, "the query"), tau)
        return [len(self._distinct(positions)), [list(match) for match in matches]]

    def _distinct(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return positions without those whose title is much like that of one before them."""
        if self.collapse is None or len(positions) < 2:
            return positions
        alike = self.store.gram(positions) >= self.collapse
        kept: list[int] = []
        for number in range(len(positions)):
            if not alike[number, kept].any():
                kept.append(number)
        return positions[kept]

    async def _vector(self, item: Item) -> Vectors:
        known = self.store.vector(item)
        return _unit(await self.encoder.embed(item.title, "passage"), item.title) if known is None else known


def _unit(vector: Vectors, name: str) -> Vectors:
    rows = np.array(checked(vector, name), ndmin=2)
    scale(rows)
    unit: Vectors = rows[0]
    return unit
