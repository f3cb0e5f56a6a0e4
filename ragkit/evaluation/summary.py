"""From predictions to the figures of a run."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from ragkit.evaluation.metrics import Metric
from ragkit.evaluation.prediction import PredictionRow, align
from ragkit.evaluation.questions import Question
from ragkit.evaluation.statistics import CONFIDENCE, bootstrap_interval, mean


@dataclass(frozen=True)
class Estimate:
    """A mean over questions.

    Attributes:
        value: the mean; None when the metric applies to no question.
        low: lower end of the 95 % bootstrap interval.
        high: upper end.
        n: questions in the mean, failed ones included.
        excluded: questions to which the metric does not apply.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    excluded: int


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
        scores: per metric, the value of each question in the order of the questions; not part of the JSON.
        quality: the metrics that judge quality, from 0 to 1; the first one calls a question right or wrong.
    """

    overall: Group
    types: dict[str, Group]
    flags: dict[str, int]
    scores: dict[str, list[float | None]]
    quality: tuple[str, ...]

    def to_json(self) -> str:
        """Return the text of `metrics.json`."""
        content = {
            **asdict(self.overall),
            "confidence": CONFIDENCE,
            "flags": self.flags,
            "types": {name: asdict(group) for name, group in self.types.items()},
        }
        return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def summarise(
    questions: Sequence[Question],
    predictions: Sequence[PredictionRow],
    metrics: Sequence[Metric],
    costs: Mapping[str, Sequence[float | None]] | None = None,
) -> Summary:
    """Score predictions and average over all questions and over those of each type.

    Args:
        questions: what was asked.
        predictions: one for each question, in any order.
        metrics: what to compute.
        costs: further figures that are not in the predictions (seconds ...), by name: a value per question, in the
            order of the questions, None where it is not known.

    Raises:
        InputError: questions and predictions do not belong together.
        ValueError: a value is NaN or infinite, or a cost has more or fewer values than there are questions.
    """
    predictions = align(questions, predictions)
    scores = {str(metric): metric.compute(questions, predictions) for metric in metrics}
    for name, values in (costs or {}).items():
        if len(values) != len(questions):
            raise ValueError(f"'{name}' has {len(values)} values for {len(questions)} questions")
        scores[name] = list(values)
    failed = [prediction["error"] is not None for prediction in predictions]
    positions: dict[str, list[int]] = {}
    for position, question in enumerate(questions):
        positions.setdefault(question.type, []).append(position)
    return Summary(
        overall=_group(range(len(questions)), failed, scores),
        types={name: _group(members, failed, scores) for name, members in positions.items()},
        flags=dict(sorted(Counter(flag for prediction in predictions for flag in set(prediction["flags"])).items())),
        scores=scores,
        quality=tuple(str(metric) for metric in metrics if metric.needs),
    )


def _group(members: Sequence[int], failed: Sequence[bool], scores: dict[str, list[float | None]]) -> Group:
    return Group(
        questions=len(members),
        failures=sum(failed[member] for member in members),
        metrics={name: _estimate([values[member] for member in members]) for name, values in scores.items()},
    )


def _estimate(values: Sequence[float | None]) -> Estimate:
    applicable = [value for value in values if value is not None]
    low, high = bootstrap_interval(applicable) or (None, None)
    return Estimate(mean(applicable), low, high, n=len(applicable), excluded=len(values) - len(applicable))
