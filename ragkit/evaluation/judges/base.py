"""What a judge is: a measure of answers that asks models."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ragkit.engine.calls import Resource
from ragkit.engine.component import Component
from ragkit.evaluation.prediction import PredictionRow, abstained
from ragkit.evaluation.questions import Question

NameOf = Callable[[Resource], str]
"""Returns the name under which a pipeline declares a model."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge found out about one answer.

    Attributes:
        scores: the value of each figure, from 0 to 1; None where it does not apply to the question.
        failures: why a figure could not be measured, by figure; such a figure has no score.
        details: what the report shows and what the figures follow from, as JSON data.
    """

    scores: dict[str, float | None] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)


class Judge(Component):
    """A measure of answers that asks models, declared under `run: judges:` with a name of its own.

    A subclass is registered under its type: `@judges.register("rubric")`. Models are fields, as in a stage, and are
    reached only through their methods, so that the calls of all questions are batched, cached and metered together.
    """

    @abstractmethod
    def figures(self, name_of: NameOf) -> tuple[str, ...]:
        """Return the figures that it measures; the empty name is the judge's own."""

    def prepare(self, questions: Sequence[Question]) -> None:
        """Make sure that it can judge answers to these questions; called before the first of them is answered.

        Raises:
            InputError: it cannot, and no question should be paid for.
        """

    @abstractmethod
    async def judge(self, question: Question, prediction: PredictionRow, name_of: NameOf) -> Judgement:
        """Judge one answer. An exception fails every figure of this question."""

    def raters(self, judgements: Sequence[Judgement | None]) -> dict[str, list[str | None]]:
        """Return the grades of raters whose agreement is of interest, by rater; None where one gave none."""
        return {}

    def report(
        self, questions: Sequence[Question], predictions: Sequence[PredictionRow], judgements: Sequence[Judgement]
    ) -> dict[str, Any]:
        """Return what else the report of a run should hold about all judgements together."""
        return {}

    @property
    def grades(self) -> tuple[str, ...]:
        """The grades that raters give, from the lowest to the highest."""
        return ()


def settled(question: Question, prediction: PredictionRow, needs_gold: bool) -> tuple[bool, float | None]:
    """Say whether the value of an answer follows without asking a model, and which.

    As in the answer metrics, a failed question scores 0 and, if gold answers are what it is compared with, a question
    that has none has no value, an unanswerable one scores 1 for an abstention and 0 for any answer, and an abstention
    on an answerable one scores 0. Where there is nothing to compare with, an abstention has no value.
    """
    if needs_gold and question.answerable and not question.answers:
        return True, None
    if prediction["error"]:
        return True, 0.0
    if needs_gold and not question.answerable:
        return True, float(abstained(prediction))
    if abstained(prediction):
        return True, 0.0 if needs_gold else None
    return False, None
