"""Making an index from a factory string, and telling what would fit where it does not."""

import logging
import re
from typing import Any

import numpy as np

from ragkit.errors import InputError
from ragkit.index.dense.embedding import Vectors
from ragkit.index.dense.library import layers, load_faiss, reason
from ragkit.index.dense.settings import DenseSettings, Metric

_LOG = logging.getLogger(__name__)

_LEAST_SAMPLE = 65_536  # 256 for each of a product quantiser's 256 centroids: the most that FAISS uses for them
_PER_CELL = 64  # FAISS advises 39 to 256 for each cell of an IVF
_ADVISED = 39


def make(factory: str, dimension: int, metric: Metric) -> Any:
    """Return an empty index.

    Raises:
        InputError: FAISS does not know the string, or it does not fit the dimension or the metric.
    """
    faiss = load_faiss()
    if "IDMap" in factory:
        raise InputError(f"index.dense.factory '{factory}': leave out IDMap; ragkit finds passages by their position")
    code = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    try:
        return faiss.index_factory(dimension, factory, code)
    except RuntimeError as error:
        complaint = reason(error)
    if _parts_do_not_fit(factory, dimension):
        divisors = [str(part) for part in range(1, dimension + 1) if dimension % part == 0]
        advice = f"a product quantiser cuts {dimension} dimensions into one of {', '.join(divisors)} parts"
    elif metric != "l2" and "METRIC_L2" in complaint:
        advice = f"FAISS has it for metric: l2 only, here it is {metric}"
    else:
        advice = "examples that fit: Flat, SQfp16, HNSW32, 'IVF256,Flat'"
    raise InputError(f"index.dense.factory '{factory}' with {dimension} dimensions: {complaint} ({advice})")


def check_training(factory: str, index: Any, vectors: int) -> None:
    """Check, before anything is embedded at length, that there are enough vectors to train on.

    Raises:
        InputError: there are fewer than centroids.
    """
    centroids = _centroids(factory, index)
    if index.is_trained:
        return
    if vectors < centroids:
        raise InputError(_too_few(factory, vectors, centroids))
    if vectors < _ADVISED * centroids:
        _LOG.warning(
            "index.dense.factory '%s' trains %d centroids on %d vectors; FAISS advises %d vectors or more",
            factory,
            centroids,
            vectors,
            _ADVISED * centroids,
        )


def sample_size(settings: DenseSettings, index: Any, vectors: int) -> int:
    """Return how many vectors to train on."""
    wanted = settings.train_on or max(_LEAST_SAMPLE, _PER_CELL * _centroids(settings.factory, index))
    return min(wanted, vectors)


def train(factory: str, index: Any, sample: Vectors) -> None:
    """Train an index.

    Raises:
        InputError: the sample is too small for the factory.
    """
    faiss = load_faiss()
    for layer in layers(faiss, index):
        # FAISS would write its advice to the terminal, once for each part of each quantiser; see check_training.
        for quantiser in (layer, getattr(layer, "pq", None)):
            if quantiser is not None and hasattr(quantiser, "cp"):
                quantiser.cp.min_points_per_centroid = 1
    try:
        index.train(np.ascontiguousarray(sample))
    except RuntimeError as error:
        needed = re.search(r"at least as large as number of clusters \((\d+)\)", str(error))
        if needed is None:
            raise InputError(
                f"index.dense.factory '{factory}', trained on {len(sample)} vectors: {reason(error)}"
            ) from None
        raise InputError(_too_few(factory, len(sample), int(needed[1]))) from None


def _centroids(factory: str, index: Any) -> int:
    """Return the largest number of centroids that one k-means of the index's training finds."""
    ivf = load_faiss().try_extract_index_ivf(index)
    bits = [int(found or 8) for found in re.findall(r"(?<![A-Z])O?PQ\d+(?:_\d+)?(?:x(\d+))?", factory)]
    return max(1, int(ivf.nlist) if ivf is not None else 1, *(1 << each for each in bits))


def _parts_do_not_fit(factory: str, dimension: int) -> bool:
    return any(dimension % int(parts) for parts in re.findall(r"PQ(\d+)", factory) if int(parts))


def _too_few(factory: str, vectors: int, centroids: int) -> str:
    cells = max(1, vectors // _ADVISED)
    return (
        f"index.dense.factory '{factory}' needs at least {centroids} vectors to train on, one for each of its "
        f"centroids, better {_ADVISED * centroids}; there are {vectors}. Flat, SQfp16 and HNSW32 fit any number, "
        f"'IVF{cells},Flat' fits this one"
    )
