"""Stands in until the sparse part grows: BM25 over the live passages, counted anew in every build."""

import numpy as np

from ragkit.index import sparse


def build_sparse(settings, growth, folder):
    deleted = set(growth.deleted.tolist())
    live = np.array([p for p in range(len(growth.texts)) if p not in deleted])
    texts = growth.texts.read(0, len(growth.texts))
    sparse.build_sparse([texts[p] for p in live], settings, folder)
    np.save(folder / "live.npy", live)
    return {}


class SparseIndex:
    def __init__(self, folder, settings):
        self._inner = sparse.SparseIndex(folder, settings)
        self._live = np.load(folder / "live.npy")

    def search(self, queries, k, allowed=None):
        found = self._inner.search(queries, len(self._live))
        rankings = [[(int(self._live[p]), s) for p, s in ranking] for ranking in found]
        return [[(p, s) for p, s in ranking if allowed is None or allowed[p]][:k] for ranking in rankings]
