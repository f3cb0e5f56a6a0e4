"""The scores of all (passage, term) pairs, computed ahead and sorted by term, in the files of bm25s.

bm25s counts and scores passage by passage in Python; here the same scores come from whole arrays, in blocks, so that
the memory needed does not grow with the number of passages.

Source: Lu 2024, BM25S: orders of magnitude faster lexical search via eager sparse scoring, arXiv 2407.03618.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import need
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
    counts = Counts.open(folder)
    passages = len(counts.sizes) - len(counts.deleted)
    holders, lengths = _statistics(counts, terms)
    idfs = idf(settings, passages, holders)
    floor = absent(settings, idfs)
    mean = lengths.sum() / max(passages, 1)
    relative = lengths / mean if mean > 0 else lengths
    heads = np.zeros(terms + 1, np.int64)
    np.cumsum(holders, out=heads[1:])
    np.save(folder / "indptr.csc.index.npy", heads)
    if floor is not None:
        np.save(folder / "nonoccurrence_array.index.npy", floor)
    scores = _create(folder / "data.csc.index.npy", np.float32, heads[-1])
    positions = _create(folder / "indices.csc.index.npy", np.int32, heads[-1])
    sparse: Any = need("scipy.sparse", "scipy", "a sparse index")
    free = heads[:-1].copy()
    for block, pairs in counts.blocks():
        sizes, numbers = counts.sizes[block], counts.terms[pairs]
        weights = frequency_weight(
            settings, counts.frequencies[pairs].astype(np.float64), np.repeat(relative[block], sizes)
        )
        values = idfs[numbers] * weights
        if floor is not None:
            values -= floor[numbers]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        table = sparse.csr_array((values.astype(np.float32), numbers, starts), shape=(len(sizes), terms)).tocsc()
        filled = np.diff(table.indptr)
        places = np.arange(len(numbers)) + np.repeat(free - table.indptr[:-1], filled)
        scores[places] = table.data
        positions[places] = table.indices + block.start
        free += filled
    _write_parameters(settings, len(counts.sizes), folder)


def _statistics(counts: Counts, terms: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return of each term the number of passages that hold it, and of each passage the number of its words."""
    holders, lengths = np.zeros(terms, np.int64), np.zeros(len(counts.sizes))
    for block, pairs in counts.blocks():
        holders += np.bincount(counts.terms[pairs], minlength=terms)
        sizes = counts.sizes[block]
        owners = np.repeat(np.arange(len(sizes)), sizes)
        lengths[block] = np.bincount(owners, weights=counts.frequencies[pairs], minlength=len(sizes))
    return holders, lengths


def _create(path: Path, dtype: type[np.generic], length: int) -> NDArray[Any]:
    if length == 0:  # an empty file cannot be mapped
        np.save(path, np.empty(0, dtype))
        return np.empty(0, dtype)
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(int(length),))


def _write_parameters(settings: SparseSettings, passages: int, folder: Path) -> None:
    parameters = {
        "k1": settings.k1, "b": settings.b, "delta": settings.delta,
        "method": settings.method, "idf_method": settings.method,
        "dtype": "float32", "int_dtype": "int32", "num_docs": passages,
        "version": need("bm25s", "bm25s", "a sparse index").__version__, "backend": "numpy",
    }  # fmt: skip
    (folder / "params.index.json").write_text(json.dumps(parameters, indent=4), encoding="utf-8")
