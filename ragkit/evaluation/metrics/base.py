"""What a metric is, and how it is written."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question

Needs = Literal["answers", "supporting_ids", "answerable"]


@dataclass(frozen=True)
class Metric(ABC):
    """A measure of predictions, written `name`, `name@cutoff` or `name(setting=value)`.

    Two are equal when they are written alike, and `parse_metric(str(metric)) == metric`. A subclass is registered under
    its name, `@metrics.register("em")`; one with settings is a frozen dataclass whose further fields they are (text, or
    a number), each with a default.

    Attributes:
        name: how it is written.
        source: where it is defined.
        needs: the gold field without which it does not apply to a question; None for what says nothing about quality
            (costs, how often a pipeline abstains).
        takes_cutoff: whether it is written with a rank, `recall@5`.
        cutoff: that rank, from 1.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    needs: ClassVar[Needs | None] = None
    takes_cutoff: ClassVar[bool] = False

    cutoff: int | None = None

    @abstractmethod
    def compute(self, questions: Sequence[Question], predictions: Sequence[PredictionRow]) -> list[float | None]:
        """Return a value per question, in order; None where the metric does not apply.

        A failed question has a value like any other (the worst one, if the metric judges quality).
        """

    def settings(self) -> dict[str, Any]:
        """Return the settings that are not the default ones."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name != "cutoff" and getattr(self, field.name) != field.default
        }

    def __str__(self) -> str:
        settings = ",".join(f"{name}={value}" for name, value in self.settings().items())
        return self.name + (f"({settings})" if settings else "") + (f"@{self.cutoff}" if self.cutoff else "")


class PerQuestion(Metric):
    """A metric that looks at one question at a time."""

    @abstractmethod
    def score(self, question: Question, prediction: PredictionRow) -> float | None:
        """Return the value of one prediction, or None where the metric does not apply."""

    @override
    def compute(self, questions: Sequence[Question], predictions: Sequence[PredictionRow]) -> list[float | None]:
        return [self.score(question, prediction) for question, prediction in zip(questions, predictions, strict=True)]


class Whole(Metric):
    """A figure of all questions together that is no mean over them, such as an average precision.

    Single questions have no value.
    """

    @abstractmethod
    def observe(
        self, questions: Sequence[Question], predictions: Sequence[PredictionRow]
    ) -> list[tuple[float, float] | None]:
        """Return what the figure is made of, a pair of numbers per question; None where it does not apply."""

    @abstractmethod
    def statistic(self, observed: NDArray[np.float64]) -> float | None:
        """Return the figure of pairs, shape (n, 2) with n at least 1; None where it is not defined."""

    def curve(self, observed: NDArray[np.float64]) -> dict[str, list[float]] | None:
        """Return what a report may draw, as columns of equal length; None if there is nothing to draw."""
        return None

    @override
    def compute(self, questions: Sequence[Question], predictions: Sequence[PredictionRow]) -> list[float | None]:
        return [None for _ in zip(questions, predictions, strict=True)]
