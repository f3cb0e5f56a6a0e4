"""The list of questions: what searching, filtering and sorting need of each, column by column."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from ragkit.evaluation.prediction import PredictionRow, abstained
from ragkit.evaluation.questions import Question
from ragkit.evaluation.summary import Summary

Status = Literal["right", "wrong", "failed", "unscored"]
STATUSES: tuple[Status, ...] = ("right", "wrong", "failed", "unscored")


def status(summary: Summary, position: int, prediction: PredictionRow) -> Status:
    """Say what became of a question, judged by the run's first metric of quality."""
    if prediction["error"]:
        return "failed"
    score = summary.scores[summary.quality[0]][position] if summary.quality else None
    if score is None:
        return "unscored"
    return "right" if score >= 1 else "wrong"


def columns(
    summary: Summary,
    questions: Sequence[Question],
    predictions: Sequence[PredictionRow],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """Return the columns; names that repeat (types, flags) are numbers into a list of names.

    Args:
        summary: the scores of these questions.
        questions: in order.
        predictions: in the same order.
        seconds: computing time by question, where it is known.
    """
    types, type_names = _coded(question.type for question in questions)
    flag_names = sorted({flag for prediction in predictions for flag in prediction["flags"]})
    return {
        "id": [question.id for question in questions],
        "question": [question.question for question in questions],
        "answer": [prediction["answer"] for prediction in predictions],
        "gold": [list(question.answers) if question.answerable else None for question in questions],
        "type": types,
        "types": type_names,
        "status": [STATUSES.index(status(summary, n, row)) for n, row in enumerate(predictions)],
        "statuses": STATUSES,
        "abstained": [int(abstained(prediction)) for prediction in predictions],
        "flags": [[flag_names.index(flag) for flag in prediction["flags"]] for prediction in predictions],
        "flagNames": flag_names,
        "scores": summary.scores,
        "costs": _costs(predictions, [seconds.get(question.id) for question in questions]),
    }


def _coded(values: Iterable[str]) -> tuple[list[int], list[str]]:
    """Return values as numbers into the list of their names."""
    codes: dict[str, int] = {}
    return [codes.setdefault(value, len(codes)) for value in values], list(codes)


def _costs(predictions: Sequence[PredictionRow], seconds: Sequence[float | None]) -> dict[str, list[float | None]]:
    """Return what each question cost, whatever metrics the run had."""
    usages = [prediction["usage"] for prediction in predictions]
    costs: dict[str, list[float | None]] = {
        "seconds": list(seconds),
        "tokens": [usage["prompt_tokens"] + usage["completion_tokens"] for usage in usages],
        "model_calls": [usage["model_calls"] for usage in usages],
        "searches": [usage["searches"] for usage in usages],
    }
    return {name: values for name, values in costs.items() if any(value is not None for value in values)}
