"""The Rescorla-Wagner model, as a description of how bad fragments pull on an answer, and its fit to a curve.

Source: Rescorla and Wagner 1972 for the update. The paper (arXiv 2509.04500) adapts it in a form that could not be
obtained; that each fragment is a trial and that the error is shared is ragkit's reading, chosen because the limit fits
the published curves.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Form = Literal["share", "presence"]
Floats = NDArray[np.float64]

_LARGEST_RATIO = 100.0
_FLAT = 1e-6
_ENDS = 1e-9


def simulate(types: Sequence[int], salience: tuple[float, float], rate: float, ceiling: float) -> tuple[float, float]:
    """Return the associative strengths of two kinds of cues after trials with one cue each.

    Args:
        types: the kind of each trial's cue, 0 or 1, in order.
        salience: alpha of each kind, from 0 to 1.
        rate: beta, from 0 to 1.
        ceiling: lambda, what both strengths together can reach.
    """
    strengths = [0.0, 0.0]
    for kind in types:
        strengths[kind] += salience[kind] * rate * (ceiling - sum(strengths))
    return strengths[0], strengths[1]


def expected_strength(
    proportion: float, trials: int, salience: tuple[float, float], rate: float, ceiling: float
) -> float:
    """Return the strength of the first kind after trials in random order, a share of which are of that kind.

    The closed form of the mean field: exact for equal saliences, close for small ones.
    """
    pull = proportion * salience[0] + (1 - proportion) * salience[1]
    if pull == 0:
        return 0.0
    return ceiling * proportion * salience[0] / pull * (1 - math.exp(-trials * rate * pull))


def share(proportions: Floats, ceiling: float, ratio: float, start: float = 0.0) -> Floats:
    """Return the strength of the first kind when trials are many: its share, weighed by the ratio of saliences.

    A ratio above 1 means that the first kind counts for more than its share when it is rare: the slope is
    `ceiling * ratio` at 0 and `ceiling / ratio` at 1.
    """
    weighed = ratio * proportions
    values: Floats = start + ceiling * weighed / (weighed + 1 - proportions)
    return values


def presence(proportions: Floats, start: float, first: float, slope: float, last: float) -> Floats:
    """Return a line with a step where the first kind appears, and one where it is alone; small models are like that."""
    alone = proportions >= 1 - _ENDS
    values: Floats = start + first * (proportions > _ENDS) + slope * proportions + last * alone
    return values


@dataclass(frozen=True, slots=True)
class Fit:
    """A form fitted to a curve.

    Attributes:
        form: which one.
        parameters: by name; `ceiling`, `ratio` and perhaps `start` of the share, `start`, `first`, `slope`, `last`.
        r2: share of the variance that it explains; None of a flat curve.
        mae: mean absolute error.
        aicc: corrected Akaike criterion, lower is better; None with too few points for it.
        identifiable: whether the curve says what the parameters are.
    """

    form: Form
    parameters: dict[str, float]
    r2: float | None
    mae: float
    aicc: float | None
    identifiable: bool

    def predict(self, proportions: Floats) -> Floats:
        """Return the fitted curve."""
        values: Floats = _FORMS[self.form](proportions, **self.parameters)
        return values


_FORMS: dict[str, Any] = {"share": share, "presence": presence}


def fit_share(proportions: Floats, values: Floats, weights: Floats | None = None, *, offset: bool = False) -> Fit:
    """Fit the share form by bounded least squares.

    Args:
        proportions: from 0 to 1, ascending.
        values: strength at each.
        weights: of the squared errors, such as 1 / SE^2; all alike by default.
        offset: whether the curve may begin elsewhere than at 0.
    """
    from scipy.optimize import least_squares

    root = _root(weights, len(values))
    if np.ptp(values) < _FLAT:
        level = float(values.mean())
        flat = {"ceiling": 0.0, "ratio": 1.0, "start": level} if offset else {"ceiling": 2 * level, "ratio": 1.0}
        return _fit("share", flat, proportions, values, root, identifiable=False)

    def residuals(parameters: Floats) -> Floats:
        return root * (share(proportions, parameters[0], math.exp(parameters[1]), *parameters[2:]) - values)

    bound = math.log(_LARGEST_RATIO)
    low, high = [-2.0, -bound, -2.0], [2.0, bound, 2.0]
    size = 3 if offset else 2
    best = None
    for ratio in (0.3, 1.0, 3.0, 10.0):
        start = [float(values[-1] - (values[0] if offset else 0)), math.log(ratio), float(values[0])][:size]
        start = list(np.clip(start, np.array(low[:size]) + _FLAT, np.array(high[:size]) - _FLAT))
        found = least_squares(residuals, start, bounds=(low[:size], high[:size]), xtol=1e-12, ftol=1e-12, gtol=1e-12)
        if best is None or found.cost < best.cost:
            best = found
    assert best is not None  # noqa: S101 - there are starts
    names = ("ceiling", "ratio", "start")[:size]
    parameters = dict(zip(names, map(float, best.x), strict=True))
    inside = abs(parameters["ratio"]) < bound - 1e-3
    parameters["ratio"] = math.exp(parameters["ratio"])
    told = np.linalg.matrix_rank(best.jac, tol=1e-8 * max(1.0, float(np.abs(best.jac).max()))) == size
    return _fit("share", parameters, proportions, values, root, identifiable=bool(inside and told))


def fit_presence(proportions: Floats, values: Floats, weights: Floats | None = None) -> Fit:
    """Fit the presence form by least squares; a curve without an inner part leaves parameters undetermined."""
    root = _root(weights, len(values))
    one = np.ones_like(proportions)
    columns = [one, proportions > _ENDS, proportions, proportions >= 1 - _ENDS]
    design = np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)
    solution, _, rank, _ = np.linalg.lstsq(root[:, None] * design, root * values, rcond=None)
    parameters = dict(zip(("start", "first", "slope", "last"), map(float, solution), strict=True))
    told = int(rank) == design.shape[1] and np.ptp(values) >= _FLAT
    return _fit("presence", parameters, proportions, values, root, identifiable=bool(told))


def _root(weights: Floats | None, n: int) -> Floats:
    """Return the square roots of weights, scaled to a mean weight of 1."""
    if weights is None:
        return np.ones(n)
    root: Floats = np.sqrt(weights / weights.mean())
    return root


def _fit(
    form: Form, parameters: dict[str, float], proportions: Floats, values: Floats, root: Floats, *, identifiable: bool
) -> Fit:
    errors = _FORMS[form](proportions, **parameters) - values
    n, k = len(values), len(parameters) + 1  # and the variance
    squares = float(((root * errors) ** 2).sum())
    around = float(((root * (values - np.average(values, weights=root**2))) ** 2).sum())
    aicc = None
    if n - k - 1 > 0:
        aicc = n * math.log(max(squares / n, 1e-24)) + 2 * k + 2 * k * (k + 1) / (n - k - 1)
    r2 = 1 - squares / around if around > _FLAT**2 * n else None
    return Fit(form, parameters, r2, float(np.abs(errors).mean()), aicc, identifiable)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a curve says without a model.

    Attributes:
        first_gain: value with one bad fragment less that with none (minority gain G0); None if one is not measured.
        last_gain: value with bad fragments only less that with one good one (G1); None likewise.
        amplification: first gain over the median step of one fragment inside the curve; None where that step is 0 or
            not measured.
        slope: per 10 points of the proportion, by least squares.
        spread: highest less lowest value.
    """

    first_gain: float | None
    last_gain: float | None
    amplification: float | None
    slope: float
    spread: float


def shape_of(bad: Sequence[int], fragments: int, values: Floats) -> Shape:
    """Return the shape of a curve.

    Args:
        bad: number of bad fragments at each point, ascending, at least two.
        fragments: of each context.
        values: at each point.
    """
    at = dict(zip(bad, map(float, values), strict=True))
    first = at[1] - at[0] if {0, 1} <= at.keys() else None
    last = at[fragments] - at[fragments - 1] if {fragments - 1, fragments} <= at.keys() else None
    inside = [number for number in bad if 0 < number < fragments]
    steps = [(at[after] - at[before]) / (after - before) for before, after in pairwise(inside)]
    step = float(np.median(steps)) if steps else 0.0
    proportions = np.array(bad) / fragments
    return Shape(
        first_gain=first,
        last_gain=last,
        amplification=first / abs(step) if first is not None and abs(step) > _ENDS else None,
        slope=float(np.polyfit(proportions, values, 1)[0]) / 10,
        spread=float(np.ptp(values)),
    )
