"""What the tests of BM25 share."""

import numpy as np

from ragkit.index.part import Growth
from ragkit.index.sparse import Analyser, SparseIndex, SparseSettings, build_sparse

CORPUS = [
    "Wheat is sown in autumn; winter wheat is harvested in summer.",
    "Maize needs warm soil.",
    "Soil holds water and air, and the roots need both of them.",
    "Yellow rust is a disease of wheat.",
    "A silo keeps grain dry.",
    "Irrigation brings water to the field when the rain fails.",
    "Aphids are small insects.",
]
QUERIES = ["wheat disease", "water in the soil", "dry grain wheat wheat", "insects"]


class Texts(list):
    def read(self, start, stop):
        return self[start:stop]


def growth(texts, work, **changes):
    if "deleted" in changes:
        changes["deleted"] = np.array(changes["deleted"], np.int64)
    return Growth(Texts(texts), work, **changes)


def opened(folder, texts, **settings):
    """Build and open; return the index and its analyser."""
    made = SparseSettings(**settings)
    build_sparse(made, growth(texts, folder / "work"), folder / "index")
    return SparseIndex(folder / "index", made), Analyser(made)
