"""What a pipeline left behind for one question: a row of `predictions.jsonl`."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

from ragkit.errors import InputError
from ragkit.evaluation.questions import Question


class RankedPassage(TypedDict):
    """A passage as a prediction keeps it; `page` counts from 1. The index may not know the optional fields."""

    id: str
    score: float | None
    text: str
    source: NotRequired[str | None]
    document: NotRequired[str | None]
    page: NotRequired[int | None]


class CitedPassage(TypedDict):
    """A pointer from the answer to a passage."""

    passage: str
    source: str
    page: int | None
    box: NotRequired[list[float] | None]


class Usage(TypedDict):
    """What the question cost; `cost` in money, if a model that it called has a price."""

    searches: int
    retriever_calls: NotRequired[int]
    model_calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: NotRequired[float]


class Failure(TypedDict):
    """Why a question ended early: the stage, the exception's type and its message."""

    stage: str
    type: str
    message: str


class PredictionRow(TypedDict):
    """One answered (or failed) question.

    `documents` are the final ranking, best first; `context` are the ids of the passages in the reader's prompt.
    An answer of None, or of nothing but blanks, is an abstention. `confidence` is how sure the pipeline is of the
    answer, on its own scale.
    """

    id: str
    question: str
    answer: str | None
    documents: list[RankedPassage]
    context: list[str]
    citations: list[CitedPassage]
    usage: Usage
    flags: list[str]
    error: Failure | None
    confidence: NotRequired[float | None]


def abstained(prediction: PredictionRow) -> bool:
    """Say whether the pipeline finished and gave no answer; a failure is not an abstention."""
    return prediction["error"] is None and not (prediction["answer"] or "").strip()


def align(questions: Sequence[Question], predictions: Sequence[PredictionRow]) -> list[PredictionRow]:
    """Return the predictions in the order of the questions, so that none is left out of a mean.

    Raises:
        InputError: a question has no prediction, a prediction has no question, or an id occurs twice.
    """
    by_id = {prediction["id"]: prediction for prediction in predictions}
    if len(by_id) < len(predictions):
        raise InputError(f"{len(predictions) - len(by_id)} predictions repeat the id of another")
    asked = {question.id for question in questions}
    for ids, complaint in (
        ([question.id for question in questions if question.id not in by_id], "questions have no prediction"),
        ([identifier for identifier in by_id if identifier not in asked], "predictions belong to no question"),
    ):
        if ids:
            raise InputError(f"{len(ids)} {complaint}, the first is '{ids[0]}'")
    return [by_id[question.id] for question in questions]
