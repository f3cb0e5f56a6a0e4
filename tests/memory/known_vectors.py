"""An encoder that looks its vectors up, and a search that notes what it is asked."""

import numpy as np
from pydantic import PrivateAttr

from ragkit.engine.calls import LocalResource, Reply
from ragkit.engine.state import Hit, Passage
from ragkit.index.base import Index
from ragkit.models.base import Encoder


class KnownVectors(Encoder, LocalResource):
    """Gives each text its vector; `asked` holds the texts in the order in which they came."""

    vectors: dict[str, tuple[float, ...]]
    name: str = "known"

    _asked: list = PrivateAttr(default_factory=list)

    @property
    def asked(self):
        return self._asked

    def fingerprint(self):
        return self.name

    def describe(self):
        return {"provider": self.name}

    def execute(self, op, batch):
        self._asked += [request.args["text"] for request in batch]
        return [Reply(np.array(self.vectors[request.args["text"]], np.float32)) for request in batch]


class SpyIndex(Index, LocalResource):
    """Finds fixed passages for each query."""

    found: dict[str, list[Passage]]

    _queries: list = PrivateAttr(default_factory=list)

    @property
    def queries(self):
        return self._queries

    @property
    def parts(self):
        return ("spy",)

    def fingerprint(self):
        return "spy"

    async def search(self, part, query, k, where=None):
        self._queries.append(query)
        found = self.found.get(query, [])[:k]
        return tuple(
            passage.model_copy(update={"score": 1 / rank, "hits": (Hit("spy", query, rank, 1 / rank),)})
            for rank, passage in enumerate(found, 1)
        )

    async def search_hybrid(self, query, k, depth=50, parts=None, where=None):
        return await self.search("spy", query, k)

    def fuse(self, rankings, k):
        raise AssertionError("one query at a time")

    def execute(self, op, batch):
        raise AssertionError("answers at once")


def page(name, title, text=""):
    return Passage(id=name, page_content=text or f"About {title}.", metadata={"title": title})


def at(cosine):
    """Return a vector of two dimensions with this cosine to (1, 0)."""
    return (cosine, (1 - cosine**2) ** 0.5)
