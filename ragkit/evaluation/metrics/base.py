"""What a metric is, and how it is written."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from typing_extensions import override

from ragkit.engine.registry import metrics
from ragkit.errors import InputError, did_you_mean
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question


@dataclass(frozen=True)
class Metric(ABC):
    """A measure of predictions; equal when name and cutoff are, and `parse_metric(str(metric)) == metric`.

    A subclass is registered under its name: `@metrics.register("em")`.

    Attributes:
        name: how it is written.
        source: where it is defined.
        needs: the gold field without which it does not apply to a question; None for what a question costs.
        takes_cutoff: whether it is written with a rank, `recall@5`.
        cutoff: that rank, from 1.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    needs: ClassVar[Literal["answers", "supporting_ids"] | None] = None
    takes_cutoff: ClassVar[bool] = False

    cutoff: int | None = None

    @abstractmethod
    def compute(self, questions: Sequence[Question], predictions: Sequence[PredictionRow]) -> list[float | None]:
        """Return a value per question, in order; None where the metric does not apply.

        A failed question has a value like any other (the worst one, if the metric judges quality).
        """

    def __str__(self) -> str:
        return self.name if self.cutoff is None else f"{self.name}@{self.cutoff}"


class PerQuestion(Metric):
    """A metric that looks at one question at a time."""

    @abstractmethod
    def score(self, question: Question, prediction: PredictionRow) -> float | None:
        """Return the value of one prediction, or None where the metric does not apply."""

    @override
    def compute(self, questions: Sequence[Question], predictions: Sequence[PredictionRow]) -> list[float | None]:
        return [self.score(question, prediction) for question, prediction in zip(questions, predictions, strict=True)]


def parse_metric(text: str) -> Metric:
    """Return the metric that is written as `name` or `name@cutoff`.

    Raises:
        InputError: the name is unknown, or the cutoff is missing, not wanted, or not a whole number from 1.
    """
    name, at, cutoff = text.partition("@")
    if name not in metrics:
        hint = did_you_mean(name.lower(), metrics) or "."
        raise InputError(f"unknown metric '{text}'{hint} The metrics are: {', '.join(metrics)}")
    kind: type[Metric] = metrics[name]
    if not kind.takes_cutoff:
        if at:
            raise InputError(f"metric '{text}': {name} takes no cutoff, write '{name}'")
        return kind()
    if not re.fullmatch(r"[1-9][0-9]{0,5}", cutoff):
        raise InputError(f"metric '{text}': {name} needs a cutoff, a whole number from 1, e.g. '{name}@5'")
    return kind(cutoff=int(cutoff))
