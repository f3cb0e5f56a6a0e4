"""The functions of BM25's variants, for arrays of terms and passages.

Source: Kamphuis et al. 2020, Which BM25 do you mean? A large-scale reproducibility study of scoring variants (table 1).
"""

import numpy as np
from numpy.typing import NDArray

from ragkit.index.sparse.settings import SparseSettings

Floats = NDArray[np.float64]


def idf(settings: SparseSettings, passages: int, holders: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the inverse document frequency of terms, 0 for terms that no passage holds.

    Args:
        settings: with the variant.
        passages: number of passages.
        holders: of each term the number of passages that hold it.
    """
    present = holders > 0
    df = holders[present]
    match settings.method:
        case "lucene":
            values = np.log(1 + (passages - df + 0.5) / (df + 0.5))
        case "robertson":
            values = np.log(np.maximum((passages - df + 0.5) / (df + 0.5), 1))
        case "atire":
            values = np.log(passages / df)
        case "bm25l":
            values = np.log((passages + 1) / (df + 0.5))
        case "bm25+":
            values = np.log((passages + 1) / df)
    idfs = np.zeros(len(holders), np.float32)
    idfs[present] = values
    return idfs


def frequency_weight(settings: SparseSettings, frequencies: Floats, relative_lengths: Floats) -> Floats:
    """Return by what the idf is multiplied.

    Args:
        settings: with the variant and its constants.
        frequencies: how often a term occurs in a passage.
        relative_lengths: the lengths of the same passages by the mean length.
    """
    k1, b, delta = settings.k1, settings.b, settings.delta
    norm = 1 - b + b * relative_lengths
    match settings.method:
        case "lucene" | "robertson":
            return frequencies / (k1 * norm + frequencies)
        case "atire":
            return frequencies * (k1 + 1) / (frequencies + k1 * norm)
        case "bm25l":
            normalised = frequencies / norm
            return (k1 + 1) * (normalised + delta) / (k1 + normalised + delta)
        case "bm25+":
            return (k1 + 1) * frequencies / (k1 * norm + frequencies) + delta


def absent(settings: SparseSettings, idfs: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Return what terms add to the score of a passage that lacks them; None where that is nothing."""
    if settings.method not in ("bm25l", "bm25+"):
        return None
    zero, one = np.zeros(1), np.ones(1)
    return (idfs * frequency_weight(settings, zero, one)).astype(np.float32)
