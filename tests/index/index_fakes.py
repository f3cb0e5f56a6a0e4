"""Encoders for tests: words hashed into a vector, without any model."""

import asyncio
import hashlib
import sys
import time
from pathlib import Path
from typing import ClassVar

import numpy as np

from ragkit.engine.calls import LocalResource, RemoteResource, Reply
from ragkit.index import DenseSettings, LocalIndex, SparseSettings
from ragkit.index.dense import shards
from ragkit.models.base import Encoder

TEXTS = {
    "wheat": "Wheat is sown in autumn and harvested in summer.",
    "maize": "Maize needs warm soil and much water in summer.",
    "soil": "Soil holds water, air and nutrients for the roots.",
    "rust": "Yellow rust is a disease of wheat that lowers the yield.",
    "silo": "A silo keeps grain dry and safe from insects.",
}


def hashed(text, dimension):
    vector = np.zeros(dimension, dtype=np.float32)
    for word in text.lower().split():
        vector[int(hashlib.md5(word.encode()).hexdigest(), 16) % dimension] += 1
    return vector


class FakeEncoder(Encoder, LocalResource):
    name: str = "fake"
    dimension: int = 64
    pause: float = 0

    def fingerprint(self):
        return f"{self.name}/{self.dimension}"

    def describe(self):
        return {"id": self.name, "dimension": self.dimension}

    def execute(self, op, batch):
        if self.pause:
            print("embedding", flush=True)
            time.sleep(self.pause)
        return [Reply(hashed(request.args["text"], self.dimension)) for request in batch]


class CountingEncoder(FakeEncoder):
    """Remembers which texts it was given."""

    seen: ClassVar[list[str]] = []

    def execute(self, op, batch):
        self.seen.extend(request.args["text"] for request in batch)
        return super().execute(op, batch)


class NanEncoder(FakeEncoder):
    def execute(self, op, batch):
        return [Reply(np.full(self.dimension, np.nan, dtype=np.float32)) for _ in batch]


class RemoteFake(Encoder, RemoteResource):
    fail_on: str = ""

    def fingerprint(self):
        return "remote"

    def describe(self):
        return {"id": "remote"}

    async def execute(self, request):
        await asyncio.sleep(0)
        if self.fail_on and self.fail_on in request.args["text"]:
            raise ValueError("refused by the server")
        return Reply(hashed(request.args["text"], 64).tolist())


if __name__ == "__main__":  # build an index in a process of its own: FOLDER PATTERN PAUSE [PASSAGES IN A SHARD]
    folder, pattern, pause, *size = sys.argv[1:]
    shards.SHARD = int(size[0]) if size else shards.SHARD
    index = LocalIndex(
        documents=(pattern,),
        path=Path(folder),
        dense=DenseSettings(encoder=FakeEncoder(pause=float(pause))),
        sparse=SparseSettings(),
    )
    index.prepare(lambda *step: None)
    print("built" if index.report.built else "reused", flush=True)
