"""How sure a mean is, and a difference between two."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 2_000
STATISTIC_RESAMPLES = 1_000
RANDOMISATIONS = 10_000
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


def cluster_interval(values: Sequence[float], clusters: Sequence[str]) -> tuple[float, float] | None:
    """Return the 95 % percentile bootstrap interval of the mean, where values of one cluster depend on each other.

    Whole clusters are drawn: questions about one document, say, which are all hard or all easy together.

    Args:
        values: the values.
        clusters: the cluster of each.

    Source: Cameron, Gelbach and Miller 2008, doi 10.1162/rest.90.3.414, the pairs cluster bootstrap.
    """
    sums: dict[str, tuple[float, int]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        total, count = sums.get(cluster, (0.0, 0))
        sums[cluster] = (total + value, count + 1)
    rows = np.array(list(sums.values()), dtype=np.float64).reshape(-1, 2)
    return bootstrap_statistic(rows, lambda drawn: float(drawn[:, 0].sum() / drawn[:, 1].sum()))


def product(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    """Return mean and standard deviation of the product of two independent quantities, given theirs.

    Source: Goodman 1960, On the Exact Variance of Products, doi 10.2307/2281592.
    """
    (x, dx), (y, dy) = a, b
    return x * y, math.sqrt(dx**2 * dy**2 + x**2 * dy**2 + y**2 * dx**2)


def bootstrap_statistic(
    observed: NDArray[np.float64], statistic: Callable[[NDArray[np.float64]], float | None]
) -> tuple[float, float] | None:
    """Return the 95 % percentile bootstrap interval of any figure of the rows of an array.

    None when there are no rows, or when the figure is not defined in more than 1 of 20 resamples.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    if not np.isfinite(observed).all():
        raise ValueError("a value is not a finite number")
    rng = np.random.default_rng(SEED)
    n = len(observed)
    draws = [statistic(observed[rng.integers(0, n, n)]) for _ in range(STATISTIC_RESAMPLES)] if n else []
    values = [value for value in draws if value is not None]
    if len(values) < max(1, CONFIDENCE * STATISTIC_RESAMPLES):
        return None
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def mean(values: Sequence[float]) -> float | None:
    """Return the exactly rounded mean, or None when there are no values."""
    return math.fsum(values) / len(values) if values else None


@dataclass(frozen=True)
class Paired:
    """What the same questions say about two systems, `a` and `b`.

    Attributes:
        difference: mean of a - b; None when no question has a value for both.
        low: lower end of the 95 % bootstrap interval of the difference.
        high: upper end.
        p: two-sided p-value of the paired randomisation test; None when `difference` is.
        n: questions with a value for both systems.
        wins: questions for which a has the higher value.
        losses: questions for which b has the higher value.
        ties: questions with equal values.
        excluded: questions that one of the systems, or both, have no value for.
    """

    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int
    wins: int
    losses: int
    ties: int
    excluded: int


def paired_test(a: Sequence[float | None], b: Sequence[float | None]) -> Paired:
    """Compare the values that two systems reach on the same questions, in the same order.

    Under the null hypothesis each question's two values could have been swapped. All 2**n ways of swapping are tried
    when there are at most `RANDOMISATIONS` of them (questions with equal values take no part), otherwise that many
    drawn at random, always the same ones; the p-value then counts the observed one too and is never 0.

    Source: Smucker, Allan and Carterette 2007, doi 10.1145/1321440.1321528; Phipson and Smyth 2010, arXiv 1603.05766.

    Raises:
        ValueError: there are more values of one than of the other, or a value is NaN or infinite.
    """
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    differences = [x - y for x, y in pairs]
    low, high = bootstrap_interval(differences) or (None, None)
    wins, losses = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    return Paired(
        difference=mean(differences),
        low=low,
        high=high,
        p=_sign_flip_p(np.array([d for d in differences if d != 0])) if pairs else None,
        n=len(pairs),
        wins=wins,
        losses=losses,
        ties=len(pairs) - wins - losses,
        excluded=len(a) - len(pairs),
    )


def _sign_flip_p(differences: NDArray[np.float64]) -> float:
    """Return how often random signs bring the sum of differences at least as far from 0 as it is."""
    n = differences.size
    exact = 2**n <= RANDOMISATIONS
    total = 2**n if exact else RANDOMISATIONS
    # Sums that are equal on paper differ in their last bits.
    bar = abs(differences.sum()) - 1e-9 * np.abs(differences).sum()
    rng = np.random.default_rng(SEED)
    extreme = 0
    step = max(1, _NUMBERS_AT_ONCE // max(n, 1))
    for start in range(0, total, step):
        count = min(step, total - start)
        if exact:
            flips = (np.arange(start, start + count)[:, None] >> np.arange(n)) & 1
        else:
            flips = rng.integers(0, 2, size=(count, n), dtype=np.int8)
        extreme += int((np.abs((1.0 - 2.0 * flips) @ differences) >= bar).sum())
    return extreme / total if exact else (extreme + 1) / (total + 1)


def holm(pvalues: Sequence[float | None]) -> list[float | None]:
    """Return p-values corrected for being several, in the same order; None stands for no test and is not counted.

    Rejecting what is below a level after the correction keeps the chance of any false rejection below that level.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure.

    Raises:
        ValueError: a p-value is not between 0 and 1.
    """
    corrected: list[float | None] = [None] * len(pvalues)
    tested = sorted((p, position) for position, p in enumerate(pvalues) if p is not None)
    highest = 0.0
    for rank, (p, position) in enumerate(tested):
        if not 0 <= p <= 1:
            raise ValueError(f"a p-value is between 0 and 1, not {p}")
        corrected[position] = highest = max(highest, min(1.0, p * (len(tested) - rank)))
    return corrected
