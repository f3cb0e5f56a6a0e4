"""What tuning changed: every metric before and after, on the same questions, with how sure the difference is."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from ragkit.evaluation.compare import OF_THE_CACHE, estimate
from ragkit.evaluation.experiment import Experiment
from ragkit.evaluation.metrics import Whole, parse_metric
from ragkit.evaluation.statistics import bootstrap_statistic, paired_test
from ragkit.evaluation.summary import Estimate, figure_of

Pair = tuple[Experiment, Experiment]
"""The runs of the base and of the tuned model over the same questions, in the same order."""

Observed = Sequence[tuple[float, float] | None]


@dataclass(frozen=True, slots=True)
class Change:
    """A metric before and after.

    Attributes:
        base: with the base model.
        tuned: with the tuned model.
        difference: tuned minus base: the mean over the questions that both have a value for; of a figure that is no
            mean over questions (an average precision), the difference of the two figures.
        low: lower end of its 95 % bootstrap interval, drawn over the questions; None where it is not defined.
        high: upper end.
        p: of the paired randomisation test; None for a figure that is no mean over questions.
        n: questions that the difference is over.
        wins: questions on which the tuned model has the higher value.
        losses: questions on which it has the lower value.
        quality: whether it judges quality, more being better.
    """

    base: Estimate
    tuned: Estimate
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int
    wins: int
    losses: int
    quality: bool

    @property
    def is_loss(self) -> bool:
        """Whether a quality fell by more than chance: the whole interval is below 0."""
        return self.quality and self.high is not None and self.high < 0


def changes(pairs: Sequence[Pair]) -> dict[str, Change]:
    """Return the change of each metric that all runs have, over the questions of all pairs together."""
    summaries = [run.summary for run in chain.from_iterable(pairs)]
    if not summaries:
        return {}
    names = [
        name
        for name in summaries[0].overall.metrics
        if name != OF_THE_CACHE and all(name in summary.overall.metrics for summary in summaries)
    ]
    found = {}
    for name in names:
        if all(name in summary.scores for summary in summaries):
            base, tuned = (
                list(chain.from_iterable(pair[side].summary.scores[name] for pair in pairs)) for side in (0, 1)
            )
            found[name] = change_of_means(base, tuned, quality=name in summaries[0].quality)
        elif isinstance(metric := parse_metric(name), Whole):
            base_seen, tuned_seen = (
                list(chain.from_iterable(metric.observe(pair[side].questions, pair[side].rows) for pair in pairs))
                for side in (0, 1)
            )
            found[name] = _change_of_figures(metric, base_seen, tuned_seen)
    return found


def change_of_means(base: Sequence[float | None], tuned: Sequence[float | None], *, quality: bool = True) -> Change:
    """Return the change of a mean over questions from the values of each question."""
    paired = paired_test(tuned, base)
    return Change(
        estimate(base), estimate(tuned), paired.difference, paired.low, paired.high, paired.p, paired.n, paired.wins,
        paired.losses, quality,
    )  # fmt: skip


def _change_of_figures(metric: Whole, base: Observed, tuned: Observed) -> Change:
    """Return the change of a figure that is no mean; resamples draw questions, with what both models did on them."""
    figures = [figure_of(metric, base), figure_of(metric, tuned)]
    values = [figure.value for figure in figures]
    difference = None if None in values else float(values[1]) - float(values[0])  # type: ignore[arg-type]
    both = np.array([[*_row(one), *_row(other)] for one, other in zip(base, tuned, strict=True)]).reshape(-1, 6)
    both = both[(both[:, 0] > 0) | (both[:, 3] > 0)]

    def of(rows: NDArray[np.float64]) -> float | None:
        sides = [rows[rows[:, start] > 0, start + 1 : start + 3] for start in (0, 3)]
        before, after = (metric.statistic(side) if len(side) else None for side in sides)
        return None if before is None or after is None else after - before

    low, high = (bootstrap_statistic(both, of) if difference is not None else None) or (None, None)
    return Change(
        figures[0], figures[1], difference, low, high, None, len(both), wins=0, losses=0,
        quality=metric.needs is not None,
    )  # fmt: skip


def _row(pair: tuple[float, float] | None) -> tuple[float, float, float]:
    """Return a pair behind a 1, or zeros where there is none."""
    return (0.0, 0.0, 0.0) if pair is None else (1.0, *pair)
