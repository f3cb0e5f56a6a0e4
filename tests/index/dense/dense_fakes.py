"""An encoder whose vectors the test chooses, and short cuts to build and open a dense part."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from index_fakes import FakeEncoder

from ragkit.engine.calls import Reply
from ragkit.index.dense import DenseIndex, DenseSettings, build_dense
from ragkit.index.part import Growth


class Chosen(FakeEncoder):
    """Gives row i of its table for the text `i`."""

    name: str = "chosen"
    table: np.ndarray

    def describe(self):
        return {"id": self.name}

    def execute(self, op, batch):
        return [Reply(self.table[int(request.args["text"])]) for request in batch]


class Texts(list):
    def read(self, start, stop):
        return self[start:stop]


@dataclass
class Part:
    """A dense part on disk."""

    folder: Path
    settings: DenseSettings
    facts: dict

    def open(self, **changes):
        return DenseIndex(self.folder, self.settings.model_copy(update=changes))


def clustered(count, dimension=32, seed=0, centres=40):
    """Vectors in clusters, as those of texts are, so that approximate kinds have something to find."""
    rng = np.random.default_rng(seed)
    middle = np.random.default_rng(99).standard_normal((centres, dimension))
    noise = rng.standard_normal((count, dimension))
    return (middle[rng.integers(centres, size=count)] + 0.5 * noise).astype(np.float32)


def build(folder, vectors, previous=None, start=0, work=None, **settings):
    """Build a dense part of vectors, on top of a previous one that covers the first `start`."""
    chosen = DenseSettings(**{"encoder": Chosen(table=vectors), "device": "cpu"} | settings)
    texts = Texts(str(number) for number in range(len(vectors)))
    growth = Growth(texts, work or folder / "work", previous=previous and previous.folder, start=start)
    return Part(folder / "dense", chosen, build_dense(chosen, growth, folder / "dense"))


def unit_rows(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def positions(ranking):
    return [position for position, _ in ranking]
