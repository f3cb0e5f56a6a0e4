"""The scores of all (passage, term) pairs, computed ahead and sorted by term, in the files of bm25s.

bm25s counts and scores passage by passage in Python; here the same scores come from whole arrays, in blocks, so that
the memory needed does not grow with the number of pairs.

Source: Lu 2024, BM25S: orders of magnitude faster lexical search via eager sparse scoring, arXiv 2407.03618.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import need
from ragkit.index.inverted import Triple, write_inverted
from ragkit.index.sparse.counts import Counts
from ragkit.index.sparse.settings import SparseSettings
from ragkit.index.sparse.variants import absent, frequency_weight, idf


def write_matrix(settings: SparseSettings, terms: int, folder: Path) -> None:
    """Score the counts of a folder and write what `bm25s.BM25.load` reads beside them.

    Args:
        settings: the variant and its constants.
        terms: size of the vocabulary.
        folder: holds the counts.
    """
    counts = Counts(folder)
    holders, lengths = _statistics(counts, terms)
    idfs = idf(settings, counts.present, holders)
    floor = absent(settings, idfs)
    if floor is not None:
        np.save(folder / "nonoccurrence_array.index.npy", floor)
    mean = lengths.sum() / max(counts.present, 1)

    def scored() -> Iterator[Triple]:
        for block in counts.blocks():
            numbers = block.columns["terms"]
            relative = lengths[block.first :][block.owners] / mean
            frequencies = block.columns["frequencies"].astype(np.float64)
            scores = idfs[numbers] * frequency_weight(settings, frequencies, relative)
            if floor is not None:
                scores -= floor[numbers]
            yield block.first, block.sizes, numbers, scores.astype(np.float32)

    write_inverted(scored(), holders, folder)
    _write_parameters(settings, len(counts.sizes), folder)


def _statistics(counts: Counts, terms: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return of each term the number of passages that hold it, and of each passage the number of its words."""
    holders, lengths = np.zeros(terms, np.int64), np.zeros(len(counts.sizes))
    for block in counts.blocks():
        holders += np.bincount(block.columns["terms"], minlength=terms)
        passages = slice(block.first, block.first + len(block.sizes))
        lengths[passages] = np.bincount(block.owners, block.columns["frequencies"], len(block.sizes))
    return holders, lengths


def _write_parameters(settings: SparseSettings, passages: int, folder: Path) -> None:
    parameters = {
        "k1": settings.k1, "b": settings.b, "delta": settings.delta,
        "method": settings.method, "idf_method": settings.method,
        "dtype": "float32", "int_dtype": "int32", "num_docs": passages,
        "version": need("bm25s", "bm25s", "a sparse index").__version__, "backend": "numpy",
    }  # fmt: skip
    (folder / "params.index.json").write_text(json.dumps(parameters, indent=4), encoding="utf-8")
