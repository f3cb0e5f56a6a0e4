"""Read a finished run back, for its report and for the stories of its questions."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ragkit.engine.jsonl import dump_line, load_line
from ragkit.engine.run_folder import PASSAGES, TRACE, read_lines
from ragkit.errors import InputError
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question
from ragkit.evaluation.records import read_figures, read_predictions, read_run
from ragkit.evaluation.report.judged import Judgement, judgements_of
from ragkit.evaluation.report.story import Story, tell
from ragkit.evaluation.summary import Estimate, Group, Summary


@dataclass(frozen=True, slots=True)
class ReportedRun:
    """What a report is made of; see `write_report`.

    Attributes:
        rows: the predictions, in the order of the questions.
    """

    folder: Path
    title: str
    summary: Summary
    questions: list[Question]
    rows: list[PredictionRow]
    lock: dict[str, Any]


def read_reported_run(folder: Path) -> ReportedRun:
    """Read a run's questions, predictions, scores and settings.

    Raises:
        InputError: the folder holds no run, or one that is not finished.
    """
    run = read_run(folder)
    rows = read_predictions(folder, run.questions)
    figures = read_figures(folder)
    summary = Summary(
        overall=_group(figures),
        types={name: _group(group) for name, group in figures["types"].items()},
        flags=figures["flags"],
        scores={name: values for name, values in run.scores.items() if any(v is not None for v in values)},
        quality=run.quality,
        curves=figures["curves"],
        judges=figures["judges"],
    )
    return ReportedRun(folder, run.lock["name"], summary, run.questions, rows, run.lock)


def _group(figures: dict[str, Any]) -> Group:
    metrics = {name: Estimate(**estimate) for name, estimate in figures["metrics"].items()}
    return Group(figures["questions"], figures["failures"], metrics)


@dataclass(frozen=True, slots=True)
class ToldQuestion:
    """A question of a finished run with its story.

    Attributes:
        texts: the passages by id.
        scores: the question's metrics.
        judgements: what judges said.
    """

    question: Question
    row: PredictionRow
    story: Story
    texts: dict[str, str]
    scores: dict[str, float | None]
    judgements: list[Judgement]


def tell_question(folder: Path, identifier: str) -> ToldQuestion:
    """Return the story of one question of a run.

    Raises:
        InputError: the folder holds no finished run, or the run has no such question; then similar ids are named.
    """
    run = read_reported_run(folder)
    ids = [question.id for question in run.questions]
    if identifier not in ids:
        raise InputError(f"{folder}: no question '{identifier}'{_similar(identifier, ids)}")
    position = ids.index(identifier)
    row = run.rows[position]
    texts = {passage["id"]: passage["text"] for passage in read_lines(folder / PASSAGES)}
    texts |= {passage["id"]: passage["text"] for passage in row["documents"]}
    return ToldQuestion(
        question=run.questions[position],
        row=row,
        story=tell(row, _trace(folder / TRACE, identifier), texts),
        texts=texts,
        scores={name: values[position] for name, values in run.summary.scores.items()},
        judgements=judgements_of(folder).get(identifier, []),
    )


def _similar(identifier: str, ids: Sequence[str]) -> str:
    close = difflib.get_close_matches(identifier, ids, n=3, cutoff=0.5)
    if not close:
        return f" (it has {len(ids):,}, from '{ids[0]}' to '{ids[-1]}')"
    *others, last = [f"'{name}'" for name in close]
    return f", did you mean {', '.join(others)}{' or ' if others else ''}{last}?"


def _trace(path: Path, identifier: str) -> dict[str, Any] | None:
    """Return a question's trace, the last one if it was run again; other questions' lines are not parsed."""
    if not path.exists():
        return None
    start = dump_line({"id": identifier}).rstrip(b"}\n") + b","
    found = None
    with path.open("rb") as file:
        for line in file:
            if line.startswith(start):
                found = line
    return cast("dict[str, Any]", load_line(found)) if found else None
