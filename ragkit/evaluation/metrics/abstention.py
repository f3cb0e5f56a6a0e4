"""Knowing when not to answer: abstentions, and whether the confidence tells right answers from wrong ones.

The confidence of an answer is the variable `confidence` (`vars.confidence`) that a pipeline leaves behind, on any scale
where more is surer; `answer.read` writes the geometric mean of the probabilities of the reply's tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from ragkit.engine.registry import metrics
from ragkit.evaluation.metrics.answers import SQUAD
from ragkit.evaluation.metrics.base import Metric, Needs, PerQuestion, Whole
from ragkit.evaluation.prediction import PredictionRow, abstained
from ragkit.evaluation.questions import Question

Correctness = Literal["em", "f1", "hotpot_f1", "hit", "rouge_l", "numeric", "list_f1", "yes_no"]
RIGHT = 0.5
"""The value of a correctness metric from which an answer counts as right."""
_CURVE_POINTS = 200


@metrics.register("abstained")
class Abstained(PerQuestion):
    """1 if the pipeline gave no answer; a failure is not an abstention and counts 0."""

    name: ClassVar[str] = "abstained"
    source: ClassVar[str] = SQUAD

    @override
    def score(self, question: Question, prediction: PredictionRow) -> float | None:
        return float(abstained(prediction))


@metrics.register("abstention")
class AbstentionAccuracy(PerQuestion):
    """1 if the pipeline gave no answer to an unanswerable question; answerable questions have no value."""

    name: ClassVar[str] = "abstention"
    source: ClassVar[str] = SQUAD
    needs: ClassVar[Needs | None] = "answerable"

    @override
    def score(self, question: Question, prediction: PredictionRow) -> float | None:
        return None if question.answerable else float(abstained(prediction))


@metrics.register("abstention_f1")
class AbstentionF1(Whole):
    """F1 of abstaining, where the unanswerable questions are to be found; not defined where there are none.

    A failure is not an abstention.
    """

    name: ClassVar[str] = "abstention_f1"
    source: ClassVar[str] = "F1 of the class 'no answer'; Rajpurkar et al. 2018, arXiv 1806.03822"
    needs: ClassVar[Needs | None] = "answerable"

    @override
    def observe(
        self, questions: Sequence[Question], predictions: Sequence[PredictionRow]
    ) -> list[tuple[float, float] | None]:
        pairs = zip(questions, predictions, strict=True)
        return [(float(not question.answerable), float(abstained(prediction))) for question, prediction in pairs]

    @override
    def statistic(self, observed: NDArray[np.float64]) -> float | None:
        should, did = observed.sum(axis=0)
        return float(2 * observed.prod(axis=1).sum() / (should + did)) if should else None


@dataclass(frozen=True)
class _OfConfidence(Whole):
    """A figure of confidences and of how right the answers are.

    Given answers with a confidence take part. A failure is a wrong answer of the least confidence: a pipeline gains
    nothing by failing. Abstentions, and answers without a confidence, are left out and counted.

    Attributes:
        of: the metric that says how right an answer is.
    """

    needs: ClassVar[Needs | None] = "answers"

    of: Correctness = "em"

    @override
    def observe(
        self, questions: Sequence[Question], predictions: Sequence[PredictionRow]
    ) -> list[tuple[float, float] | None]:
        kind: type[Metric] = metrics[self.of]
        values = kind().compute(questions, predictions)
        given = [None if abstained(row) or row["error"] else row.get("confidence") for row in predictions]
        ranked = [own for own, value in zip(given, values, strict=True) if own is not None and value is not None]
        if not ranked:
            return [None] * len(values)
        least = min(ranked) - 1.0
        sure = [least if row["error"] else own for own, row in zip(given, predictions, strict=True)]
        pairs = zip(sure, values, strict=True)
        return [None if own is None or value is None else (own, value) for own, value in pairs]


@metrics.register("confidence_ap")
@dataclass(frozen=True)
class ConfidencePrecision(_OfConfidence):
    """Average precision of the confidence: right answers (0.5 or more of `of`) should be the surest ones.

    Answers of equal confidence enter together, as in scikit-learn. Without any ranking, the value is the share of right
    answers; not defined where none is right.
    """

    name: ClassVar[str] = "confidence_ap"
    source: ClassVar[str] = "average precision as in scikit-learn; Kamath et al. 2020, arXiv 2006.09462, for QA"

    @override
    def statistic(self, observed: NDArray[np.float64]) -> float | None:
        confidence, value = observed.T
        right = (value >= RIGHT).astype(np.float64)
        if not right.any():
            return None
        order = np.argsort(-confidence, kind="stable")
        found = np.cumsum(right[order])
        last = np.flatnonzero(np.append(np.diff(confidence[order]) != 0, True))  # the last answer of each confidence
        return float((np.diff(found[last], prepend=0) * found[last] / (last + 1)).sum() / found[-1])


@metrics.register("aurc")
@dataclass(frozen=True)
class RiskCoverageArea(_OfConfidence):
    """Area under the risk-coverage curve: the mean risk when only the surest answers are given; lower is better.

    Risk is 1 - `of`, averaged over the answers that are given; coverage goes from the surest one to all. Answers of
    equal confidence share their mean risk.
    """

    name: ClassVar[str] = "aurc"
    source: ClassVar[str] = "Geifman, Uziel and El-Yaniv 2019, arXiv 1805.08206"
    needs: ClassVar[Needs | None] = None  # more is worse, so it is no quality from 0 to 1

    @override
    def statistic(self, observed: NDArray[np.float64]) -> float | None:
        return float(_risks(observed).mean())

    @override
    def curve(self, observed: NDArray[np.float64]) -> dict[str, list[float]] | None:
        n = len(observed)
        kept = np.unique(np.linspace(0, n - 1, min(n, _CURVE_POINTS)).round().astype(int))
        return {"coverage": ((kept + 1) / n).tolist(), "risk": _risks(observed)[kept].tolist()}


def _risks(observed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean risk of the surest 1, 2, ... n answers."""
    confidence, value = observed.T
    _, group = np.unique(-confidence, return_inverse=True)
    mean_of_equals = np.bincount(group, weights=1 - value) / np.bincount(group)
    risks: NDArray[np.float64] = np.cumsum(mean_of_equals[np.sort(group)]) / np.arange(1, len(value) + 1)
    return risks
