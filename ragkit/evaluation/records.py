"""What a finished run keeps about its questions, so that it can be compared, explained and repeated by itself."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from ragkit.engine.jsonl import dump_line
from ragkit.engine.run_folder import LOCK_FILE, PREDICTIONS, replace_file
from ragkit.errors import InputError
from ragkit.evaluation.funnel import Funnel
from ragkit.evaluation.prediction import PredictionRow, align
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
    rows = _rows(folder / SCORES)
    questions = read_questions(folder / QUESTIONS)
    if [row.pop("id") for row in rows] != [question.id for question in questions]:
        raise InputError(f"{folder}: {SCORES} and {QUESTIONS} hold different questions; {_AGAIN}")
    metrics = read_figures(folder)
    return FinishedRun(
        name=str(folder),
        lock=read_lock(folder),
        questions=questions,
        # Figures that are no mean over questions are not in here: single questions have no value of them.
        scores={
            name: [row.get(name) for row in rows] for name in metrics["metrics"] if any(name in row for row in rows)
        },
        quality=tuple(metrics["quality"]),
        failures=metrics["failures"],
    )


def read_figures(folder: Path) -> dict[str, Any]:
    """Return what `metrics.json` of a run holds.

    Raises:
        InputError: the file is damaged, or of another version.
    """
    try:
        figures = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{folder / METRICS}: the file is damaged ({error}); {_AGAIN}") from None
    needed = {"questions", "failures", "metrics", "quality", "flags", "types", "curves", "judges"}
    if not isinstance(figures, dict) or (missing := sorted(needed - figures.keys())):
        what = f"it has no '{missing[0]}'" if isinstance(figures, dict) else "it is no object"
        raise InputError(f"{folder / METRICS}: the file is damaged or of another version ({what}); {_AGAIN}")
    return figures


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


def read_predictions(folder: Path, questions: Sequence[Question]) -> list[PredictionRow]:
    """Return the predictions of a run, in the order of its questions.

    Raises:
        InputError: a line is no prediction, or questions and predictions do not belong together.
    """
    rows = _rows(folder / PREDICTIONS, PredictionRow.__required_keys__)
    try:
        return align(questions, cast("list[PredictionRow]", rows))
    except InputError as error:
        raise InputError(f"{folder / PREDICTIONS}: {error}; {_AGAIN}") from None


def read_lock(folder: Path) -> dict[str, Any]:
    """Return the settings of a run, as its lock holds them.

    Raises:
        InputError: the file is damaged.
    """
    path = folder / LOCK_FILE
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the file is damaged: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict) or "name" not in data:
        raise InputError(f"{path}: the file is damaged, or not of a run: it names no run")
    return data


def _rows(path: Path, needed: Iterable[str] = ("id",)) -> list[dict[str, Any]]:
    """Return the rows of a finished run's file, of which each has some keys.

    Raises:
        InputError: a line is damaged, or lacks one of them.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; {_AGAIN}")
    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}:{number}: the line is damaged ({error}); {_AGAIN}") from None
        if not isinstance(row, dict) or (missing := sorted(set(needed) - row.keys())):
            what = f"it has no '{missing[0]}'" if isinstance(row, dict) else "it is no object"
            raise InputError(f"{path}:{number}: the line is damaged or of another version ({what}); {_AGAIN}")
        found.append(row)
    return found


_AGAIN = "complete the run with 'ragkit run' and --out, or run it anew"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
