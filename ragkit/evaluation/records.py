"""What a finished run keeps about its questions, so that it can be compared, explained and repeated by itself."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from ragkit.engine.jsonl import dump_line
from ragkit.engine.run_folder import LOCK_FILE, PREDICTIONS, read_lines, replace_file, understood
from ragkit.errors import InputError
from ragkit.evaluation.funnel import Funnel
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question, read_questions
from ragkit.evaluation.summary import Summary

QUESTIONS = "questions.jsonl"
SCORES, METRICS, FUNNEL = "scores.jsonl", "metrics.json", "funnel.json"


def question_line(question: Question) -> bytes:
    """Return a question as a line of a questions file, from which the same question is read."""
    row = {
        **question.extra,
        "id": question.id,
        "question": question.question,
        "answers": question.answers,
        "supporting_ids": question.supporting_ids,
        "type": question.type,
        "answerable": question.answerable,
    }
    optional = {"relevance": question.relevance, "vars": question.vars}
    return dump_line(row | {name: value for name, value in optional.items() if value})


def write_records(folder: Path, questions: Sequence[Question], summary: Summary, funnel: Funnel) -> None:
    """Write `questions.jsonl` (with gold), `scores.jsonl` (id, then each metric's value), metrics and funnel."""
    replace_file(folder / QUESTIONS, b"".join(question_line(question) for question in questions))
    names = list(summary.scores)
    scores = (
        dump_line({"id": question.id} | dict(zip(names, values, strict=True)))
        for question, values in zip(questions, zip(*summary.scores.values(), strict=True), strict=True)
    )
    replace_file(folder / SCORES, b"".join(scores) if names else b"")
    replace_file(folder / METRICS, summary.to_json())
    replace_file(folder / FUNNEL, funnel.to_json())


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """What a run left behind.

    Attributes:
        name: the folder as it was given.
        lock: its settings.
        questions: what was asked, with gold.
        scores: per metric, the value of each question in their order; None where it does not apply.
        quality: the metrics that judge quality, from 0 to 1.
        failures: questions that failed.
    """

    name: str
    lock: dict[str, Any]
    questions: list[Question]
    scores: dict[str, list[float | None]]
    quality: tuple[str, ...]
    failures: int


def read_run(folder: Path) -> FinishedRun:
    """Read a finished run.

    Raises:
        InputError: the folder holds no run, or one that is not finished.
    """
    check_finished(folder)
    rows = list(read_lines(folder / SCORES))
    questions = read_questions(folder / QUESTIONS)
    with understood(folder / SCORES):
        if [row.pop("id") for row in rows] != [question.id for question in questions]:
            raise InputError(f"{folder}: {SCORES} and {QUESTIONS} hold different questions; run it again")
        # Figures that are no mean over questions are not in here: single questions have no value of them.
        scores = {name: [row[name] for row in rows] for name in rows[0]}
    with understood(folder / METRICS):
        metrics = json.loads((folder / METRICS).read_text(encoding="utf-8"))
        return FinishedRun(
            name=str(folder),
            lock=read_lock(folder),
            questions=questions,
            scores=scores,
            quality=tuple(metrics["quality"]),
            failures=metrics["failures"],
        )


def check_finished(folder: Path) -> None:
    """Make sure that a folder holds a finished run.

    Raises:
        InputError: it holds none, or one that is not finished.
    """
    if not (folder / LOCK_FILE).is_file():
        raise InputError(f"{folder}: holds no run (there is no {LOCK_FILE})")
    missing = [name for name in (QUESTIONS, SCORES, METRICS) if not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"{folder}: the run is not finished, or was written by an older ragkit (there is no {missing[0]}); run the "
            f"pipeline again with --out {folder} to complete it"
        )


def read_predictions(folder: Path) -> list[PredictionRow]:
    """Return the predictions of a run."""
    return cast("list[PredictionRow]", list(read_lines(folder / PREDICTIONS)))


def read_lock(folder: Path) -> dict[str, Any]:
    """Return the settings of a run, as its lock holds them."""
    text = (folder / LOCK_FILE).read_text(encoding="utf-8")
    data: dict[str, Any] = yaml.load(text, Loader=_LOADER)  # noqa: S506 - a safe loader
    return data


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
