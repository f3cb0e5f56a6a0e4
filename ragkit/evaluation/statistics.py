"""How sure a mean is."""

import math
from collections.abc import Sequence

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 2_000
SEED = 0

# Resamples drawn at once hold about this many numbers, which keeps memory at tens of megabytes for any n.
_NUMBERS_AT_ONCE = 2_000_000


def bootstrap_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % percentile bootstrap interval of the mean, or None when there are no values.

    The same values give the same interval: the draws are seeded. A single value, or values that are all equal, give
    an interval of no width.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.

    Raises:
        ValueError: a value is NaN or infinite; it has no place in a mean.
    """
    sample = np.asarray(values, dtype=np.float64)
    if not np.isfinite(sample).all():
        raise ValueError(f"a value is not a finite number: {values[int(np.argmin(np.isfinite(sample)))]}")
    if sample.size == 0:
        return None
    if (sample == sample[0]).all():
        return float(sample[0]), float(sample[0])

    from scipy.stats import bootstrap

    interval = bootstrap(
        (sample,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=max(1, _NUMBERS_AT_ONCE // sample.size),
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def mean(values: Sequence[float]) -> float | None:
    """Return the exactly rounded mean, or None when there are no values."""
    return math.fsum(values) / len(values) if values else None
