"""Write `report.html`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ragkit.engine.run_folder import PASSAGES, TRACE, read_lines
from ragkit.evaluation.prediction import PredictionRow, align
from ragkit.evaluation.questions import Question
from ragkit.evaluation.report.compact import detail
from ragkit.evaluation.report.head import head
from ragkit.evaluation.report.judged import judgements_of
from ragkit.evaluation.report.pack import block, blocks, dump
from ragkit.evaluation.report.page import write_page
from ragkit.evaluation.report.passages import Passages
from ragkit.evaluation.report.pictures import Pictures
from ragkit.evaluation.report.rows import columns
from ragkit.evaluation.report.story import tell
from ragkit.evaluation.report.timing import StageTime, stage_times
from ragkit.evaluation.summary import Summary

# Stories and texts are unpacked a block at a time: small enough that a click answers at once, large enough to compress.
STORIES_PER_BLOCK = 40
PASSAGES_PER_BLOCK = 64


@dataclass
class _Traces:
    """What is read from the trace, question by question, so that it never is in memory as a whole."""

    stories: dict[str, bytes] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    times: dict[str, dict[str, StageTime]] = field(default_factory=dict)

    def total(self) -> dict[str, StageTime]:
        """Return what each stage cost all questions together."""
        total: dict[str, StageTime] = {}
        for times in self.times.values():
            for stage, time in times.items():
                total.setdefault(stage, StageTime()).add(time)
        return total


def write_report(
    path: str | Path,
    title: str,
    summary: Summary,
    questions: Sequence[Question],
    predictions: Sequence[PredictionRow],
    settings: Mapping[str, Any],
    *,
    run: Path | None = None,
    pictures: Pictures | None = None,
) -> None:
    """Write `report.html`: figures, funnel, times, settings, and the story of every question.

    The file needs nothing else and loads nothing. All texts are data: they reach it as compressed base64, and the
    page shows them as text.

    Args:
        path: the file to write.
        title: the run's name.
        summary: what `summarise` made of these questions and predictions.
        questions: in the order in which they were summarised.
        predictions: in any order.
        settings: what the reader should know about the run, by name; nested values are shown as YAML.
        run: the run's folder; its trace, funnel and dropped passages are taken up where it has them.
        pictures: of the cited pages, to be shown with the citations.
    """
    rows = align(questions, predictions)
    passages = Passages(read_lines(run / PASSAGES) if run else ())
    traces = _read_traces(run, questions, rows, passages)
    parts = {
        "head": head(title, summary, settings, traces.total(), run)
        | {
            "storiesPerBlock": STORIES_PER_BLOCK,
            "passagesPerBlock": PASSAGES_PER_BLOCK,
            "pictures": pictures.keys() if pictures else {},
        },
        "rows": columns(summary, questions, rows, traces.seconds),
        "passage-ids": passages.ids(),
    }

    def data() -> Iterator[tuple[str, str]]:
        for name, value in parts.items():
            yield name, block(dump(value))
        for number, packed in enumerate(blocks((traces.stories[q.id] for q in questions), STORIES_PER_BLOCK)):
            yield f"stories-{number}", packed
        for number, packed in enumerate(blocks(passages, PASSAGES_PER_BLOCK)):
            yield f"passages-{number}", packed
        for number, picture in enumerate(pictures or ()):
            yield f"picture-{number}", picture

    write_page(Path(path), title, "report", data())


def _read_traces(
    run: Path | None, questions: Sequence[Question], rows: Sequence[PredictionRow], passages: Passages
) -> _Traces:
    by_id = {question.id: (question, row) for question, row in zip(questions, rows, strict=True)}
    traces = _Traces()
    judgements = judgements_of(run) if run else {}

    def tell_of(identifier: str, trace: Mapping[str, Any] | None) -> bytes:
        question, row = by_id[identifier]
        story = tell(row, trace, passages.texts)
        return dump(detail(question, row, story, judgements.get(identifier, ()), passages.number))

    for row in rows:
        passages.take(row)
    for trace in read_lines(run / TRACE) if run else ():
        identifier = trace["id"]
        if identifier in by_id:  # a question that failed and was run again has two lines: the later one counts
            traces.stories[identifier] = tell_of(identifier, trace)
            traces.seconds[identifier] = trace["seconds"]
            traces.times[identifier] = stage_times(trace)
    for identifier in by_id:
        if identifier not in traces.stories:
            traces.stories[identifier] = tell_of(identifier, None)
    passages.take_rest()
    return traces
