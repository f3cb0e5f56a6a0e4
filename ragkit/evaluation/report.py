"""Write a run's results as one HTML file that needs nothing else."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ragkit.evaluation.metrics.ranking import matched
from ragkit.evaluation.prediction import PredictionRow, RankedPassage, align
from ragkit.evaluation.questions import Question
from ragkit.evaluation.summary import Summary

# Characters of each passage in the report: enough to judge it by, while 10,000 questions stay one loadable page.
EXCERPT = 300


@dataclass(frozen=True)
class _Row:
    """One question as the template shows it; `passages` come with the gold ids that each belongs to."""

    question: Question
    prediction: PredictionRow
    status: str
    marks: list[tuple[str, str]]
    passages: list[tuple[RankedPassage, list[str]]]


def write_report(
    path: str | Path,
    title: str,
    summary: Summary,
    questions: Sequence[Question],
    predictions: Sequence[PredictionRow],
    settings: Mapping[str, Any],
) -> None:
    """Write `report.html`: figures, figures per type, settings, and every question with its answer and evidence.

    All texts are data: they are escaped, and the page may load nothing and holds no script but its own.

    Args:
        path: the file to write.
        title: the run's name.
        summary: what `summarise` made of these questions and predictions.
        questions: in the order in which they were summarised.
        predictions: in any order.
        settings: what the reader should know about the run, by name; nested values are shown as JSON.
    """
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = _number
    template = environment.from_string(files("ragkit.evaluation").joinpath("report.html.jinja").read_text("utf-8"))
    stream = template.stream(
        title=title,
        excerpt=EXCERPT,
        summary=summary,
        rows=_rows(summary, questions, align(questions, predictions)),
        settings={name: _setting(value) for name, value in settings.items()},
    )
    stream.enable_buffering(1_000)
    # A lone surrogate in a model's answer has no UTF-8 form; it is shown as its escape.
    stream.dump(str(path), encoding="utf-8", errors="backslashreplace")


def _rows(summary: Summary, questions: Sequence[Question], predictions: Sequence[PredictionRow]) -> list[_Row]:
    return [
        _Row(
            question=question,
            prediction=prediction,
            status=_status(summary, position, prediction),
            marks=[(name, _mark(values[position])) for name, values in summary.scores.items()],
            passages=[(passage, matched(passage, question.supporting_ids)) for passage in prediction["documents"]],
        )
        for position, (question, prediction) in enumerate(zip(questions, predictions, strict=True))
    ]


def _status(summary: Summary, position: int, prediction: PredictionRow) -> str:
    if prediction["error"]:
        return "failed"
    score = summary.scores[summary.quality[0]][position] if summary.quality else None
    if score is None:
        return "unscored"
    return "right" if score >= 1 else "wrong"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"


def _mark(value: float | None) -> str:
    return f"{value:,.0f}" if value is not None and value.is_integer() else _number(value)


def _setting(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False, default=str)
