"""How far two raters agree beyond chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ragkit.evaluation.statistics import CONFIDENCE, RESAMPLES, SEED

Weights = Literal["linear", "quadratic"]


@dataclass(frozen=True)
class Agreement:
    """Cohen's kappa of two raters.

    Attributes:
        kappa: 1 is perfect, 0 what chance gives; None where it is not defined, because there is no pair or both raters
            gave everything the same single grade.
        low: lower end of the 95 % bootstrap interval; None where many resamples have no kappa.
        high: upper end.
        n: questions that both graded.
        same: the share of these to which both gave the same grade; None of none.
    """

    kappa: float | None
    low: float | None
    high: float | None
    n: int
    same: float | None


def cohen_kappa(
    a: Sequence[str | None], b: Sequence[str | None], grades: Sequence[str], weights: Weights | None = None
) -> Agreement:
    """Return the agreement of two raters of the same questions.

    Args:
        a: grades of one rater, None where it gave none.
        b: grades of the other.
        grades: all grades, in their order.
        weights: how much a disagreement counts by its distance; None counts all alike.

    Source: Cohen 1960, doi 10.1177/001316446002000104; Cohen 1968 (weighted), doi 10.1037/h0026256.

    Raises:
        ValueError: there are more grades of one rater than of the other, or a grade is none of `grades`.
    """
    rank = {grade: number for number, grade in enumerate(grades)}
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    table = np.zeros((len(grades), len(grades)))
    for x, y in pairs:
        if x not in rank or y not in rank:
            raise ValueError(f"a grade is one of {', '.join(grades)}, not {x if x not in rank else y}")
        table[rank[x], rank[y]] += 1
    if not pairs:
        return Agreement(None, None, None, 0, None)
    kappa = _kappas(table[None], weights)[0]
    # Drawing pairs anew with replacement is drawing the cells of their table.
    draws = np.random.default_rng(SEED).multinomial(len(pairs), table.ravel() / len(pairs), size=RESAMPLES)
    drawn = _kappas(draws.reshape(RESAMPLES, *table.shape).astype(np.float64), weights)
    drawn = drawn[np.isfinite(drawn)]
    low = high = None
    if np.isfinite(kappa) and drawn.size >= CONFIDENCE * RESAMPLES:
        low, high = (float(q) for q in np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]))
    same = float(np.trace(table) / len(pairs))
    return Agreement(float(kappa) if np.isfinite(kappa) else None, low, high, len(pairs), same)


def _kappas(tables: NDArray[np.float64], weights: Weights | None) -> NDArray[np.float64]:
    """Return the kappa of each table, shape (tables, grades, grades); NaN where chance leaves no disagreement."""
    size = tables.shape[1]
    distance = np.abs(np.subtract.outer(np.arange(size), np.arange(size))).astype(np.float64)
    cost = {None: (distance > 0).astype(np.float64), "linear": distance, "quadratic": distance**2}[weights]
    n = tables.sum(axis=(1, 2))
    observed = (tables * cost).sum(axis=(1, 2)) / n
    chance = np.einsum("ti,tj,ij->t", tables.sum(axis=2), tables.sum(axis=1), cost) / n**2
    with np.errstate(invalid="ignore", divide="ignore"):
        kappas: NDArray[np.float64] = np.where(chance > 0, 1 - observed / chance, np.nan)
    return kappas
