"""From predictions to the figures of a run."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragkit.evaluation.metrics import Metric, Whole
from ragkit.evaluation.prediction import PredictionRow, align
from ragkit.evaluation.questions import Question
from ragkit.evaluation.statistics import CONFIDENCE, bootstrap_interval, bootstrap_statistic, mean


@dataclass(frozen=True)
class Estimate:
    """A mean over questions.

    Attributes:
        value: the mean; None when the metric applies to no question.
        low: lower end of the 95 % bootstrap interval.
        high: upper end.
        n: questions in the mean, failed ones included.
        excluded: questions to which the metric does not apply.
        failures: questions for which measuring failed (a judge gave no usable reply); they are in no mean.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    excluded: int
    failures: int = 0


@dataclass(frozen=True)
class Group:
    """The figures of some questions: how many, how many of them failed, and each metric's mean."""

    questions: int
    failures: int
    metrics: dict[str, Estimate]


@dataclass(frozen=True)
class Summary:
    """The figures of a run.

    Attributes:
        overall: over all questions.
        types: per question type, in order of first appearance.
        flags: how many questions carry each flag.
        scores: per metric, the value of each question in the order of the questions; not part of the JSON. Figures
            that are no mean over questions are not among them.
        quality: the metrics that judge quality, from 0 to 1; the first one calls a question right or wrong.
        curves: what metrics have to draw, as columns of equal length.
        stages: computing seconds per question of each stage.
        judges: what judges used, and how far they agree.
    """

    overall: Group
    types: dict[str, Group]
    flags: dict[str, int]
    scores: dict[str, list[float | None]]
    quality: tuple[str, ...]
    curves: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    stages: dict[str, Estimate] = field(default_factory=dict)
    judges: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the text of `metrics.json`."""
        content = {
            **asdict(self.overall),
            "confidence": CONFIDENCE,
            "quality": list(self.quality),
            "flags": self.flags,
            "types": {name: asdict(group) for name, group in self.types.items()},
            "curves": self.curves,
            "stages": {name: asdict(estimate) for name, estimate in self.stages.items()},
            "judges": self.judges,
        }
        return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


@dataclass(frozen=True)
class Figure:
    """A figure that was measured outside the metrics: costs from the trace, verdicts of a judge.

    Attributes:
        values: one per question, in their order; None where it does not apply or could not be measured.
        failed: positions of the questions for which measuring failed.
        quality: whether it judges quality, from 0 to 1.
    """

    values: Sequence[float | None]
    failed: frozenset[int] = frozenset()
    quality: bool = False


def summarise(
    questions: Sequence[Question],
    predictions: Sequence[PredictionRow],
    metrics: Sequence[Metric],
    costs: Mapping[str, Sequence[float | None]] | None = None,
    *,
    figures: Mapping[str, Figure] | None = None,
    stages: Mapping[str, Sequence[float | None]] | None = None,
    judges: Mapping[str, Any] | None = None,
) -> Summary:
    """Score predictions and average over all questions and over those of each type.

    Args:
        questions: what was asked.
        predictions: one for each question, in any order.
        metrics: what to compute.
        costs: further figures that are not in the predictions (seconds ...), by name: a value per question, in the
            order of the questions, None where it is not known.
        figures: what judges found, by name.
        stages: computing seconds of each stage, by name, a value per question.
        judges: what to report of the judges beside their figures.

    Raises:
        InputError: questions and predictions do not belong together.
        ValueError: a value is NaN or infinite, or a figure has more or fewer values than there are questions.
    """
    predictions = align(questions, predictions)
    wholes = {str(metric): metric for metric in metrics if isinstance(metric, Whole)}
    measured = {str(m): Figure(m.compute(questions, predictions), quality=m.needs is not None) for m in metrics}
    measured |= figures or {}
    measured |= {name: Figure(values) for name, values in (costs or {}).items()}
    for name, values in [*((name, figure.values) for name, figure in measured.items()), *(stages or {}).items()]:
        if len(values) != len(questions):
            raise ValueError(f"'{name}' has {len(values)} values for {len(questions)} questions")
        for question, value in zip(questions, values, strict=True):
            if value is not None and not math.isfinite(value):
                raise ValueError(f"'{name}' of question '{question.id}' is not a finite number: {value}")
    observed = {name: whole.observe(questions, predictions) for name, whole in wholes.items()}
    failed = [prediction["error"] is not None for prediction in predictions]
    positions: dict[str, list[int]] = {}
    for position, question in enumerate(questions):
        positions.setdefault(question.type, []).append(position)

    def group(members: Sequence[int]) -> Group:
        return Group(
            questions=len(members),
            failures=sum(failed[member] for member in members),
            metrics={
                name: figure_of(wholes[name], [observed[name][member] for member in members])
                if name in wholes
                else _estimate(figure, members)
                for name, figure in measured.items()
            },
        )

    everyone = range(len(questions))
    return Summary(
        overall=group(everyone),
        types={name: group(members) for name, members in positions.items()},
        flags=dict(sorted(Counter(flag for prediction in predictions for flag in set(prediction["flags"])).items())),
        scores={name: list(figure.values) for name, figure in measured.items() if name not in wholes},
        quality=tuple(name for name, figure in measured.items() if figure.quality and name not in wholes),
        curves={
            name: curve
            for name, whole in wholes.items()
            if (rows := _applicable(observed[name])).size and (curve := whole.curve(rows)) is not None
        },
        stages={name: _estimate(Figure(values), everyone) for name, values in (stages or {}).items()},
        judges=dict(judges or {}),
    )


def _estimate(figure: Figure, members: Sequence[int]) -> Estimate:
    applicable = [value for member in members if (value := figure.values[member]) is not None]
    low, high = bootstrap_interval(applicable) or (None, None)
    failures = sum(member in figure.failed for member in members)
    excluded = len(members) - len(applicable) - failures
    return Estimate(mean(applicable), low, high, n=len(applicable), excluded=excluded, failures=failures)


def figure_of(metric: Whole, observed: Sequence[tuple[float, float] | None]) -> Estimate:
    """Return a figure that is no mean, from what was observed of each question."""
    rows = _applicable(observed)
    value = metric.statistic(rows) if len(rows) else None
    low, high = (None, None) if value is None else bootstrap_statistic(rows, metric.statistic) or (None, None)
    return Estimate(value, low, high, n=len(rows), excluded=len(observed) - len(rows))


def _applicable(observed: Sequence[tuple[float, float] | None]) -> NDArray[np.float64]:
    """Return the pairs that there are, shape (n, 2).

    Raises:
        ValueError: a number is NaN or infinite.
    """
    rows = np.array([pair for pair in observed if pair is not None], dtype=np.float64).reshape(-1, 2)
    if not np.isfinite(rows).all():
        raise ValueError("a value is not a finite number")
    return rows
