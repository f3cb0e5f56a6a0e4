"""Sparse and multi-vector encoders without weights: words hashed into dimensions, a fixed vector for each word."""

import hashlib

import numpy as np
from pydantic import PrivateAttr

from ragkit.engine.calls import LocalResource, Reply
from ragkit.models.base import MultiVectorEncoder, SparseEncoder

VOCABULARY, DIMENSION = 997, 16


def number(word):
    return int(hashlib.md5(word.encode()).hexdigest(), 16) % VOCABULARY


class _Fake(LocalResource):
    name: str = "fake"
    stop_after: int = 10**9

    _seen: list = PrivateAttr(default_factory=list)

    def fingerprint(self):
        return self.name

    def describe(self):
        return {"id": self.name}

    def execute(self, op, batch):
        replies = []
        for request in batch:
            if len(self._seen) == self.stop_after:
                raise KeyboardInterrupt
            text = request.args["text"]
            self._seen.append(text)
            replies.append(ValueError("cannot") if "bad" in text else Reply(self.value(text.lower().split())))
        return replies


class FakeSparse(_Fake, SparseEncoder):
    def value(self, words):
        weights = {}
        for word in words:
            weights[number(word)] = weights.get(number(word), 0) + 0.5
        return {"dimensions": sorted(weights), "weights": [weights[n] for n in sorted(weights)]}


class FakeMultiVector(_Fake, MultiVectorEncoder):
    def value(self, words):
        rows = [np.random.default_rng(number(word)).normal(size=DIMENSION) for word in words]
        matrix = np.array(rows, np.float32).reshape(-1, DIMENSION)
        return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
