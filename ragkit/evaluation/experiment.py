"""Batch QA evaluation: questions through a pipeline into a run folder, with scores and a report."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from ragkit.engine.cache import project_cache
from ragkit.engine.calls import OnProgress, QuestionContext
from ragkit.engine.jsonl import dump_line
from ragkit.engine.memory import Memory
from ragkit.engine.run import Asked, Prediction, parts
from ragkit.engine.run_folder import RunFolder, replace_file
from ragkit.errors import InputError
from ragkit.evaluation.about import About
from ragkit.evaluation.costs import costs_of
from ragkit.evaluation.datasets import load_questions
from ragkit.evaluation.evidence import Evidence
from ragkit.evaluation.funnel import Funnel, funnel
from ragkit.evaluation.judges import Judge, Judging, run_judges
from ragkit.evaluation.lock import make_lock
from ragkit.evaluation.metrics import Metric, parse_metric
from ragkit.evaluation.oracle import Oracle, with_oracle
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question, describe_problem, question_of
from ragkit.evaluation.records import question_line, write_records
from ragkit.evaluation.report import write_report
from ragkit.evaluation.report.texts import keep_texts
from ragkit.evaluation.summary import Summary, summarise
from ragkit.evaluation.traces import Calls, count_calls, read_traces
from ragkit.models.secrets import mask_secrets
from ragkit.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Experiment:
    """A finished batch run.

    Attributes:
        folder: where everything about the run is.
        rows: the predictions, in the order of the questions; see `Prediction.to_row`.
        summary: the scores.
        seconds: how long the run took this time.
        resumed: questions that an earlier start of the run had finished.
        calls: calls to models and indexes this time, and how many of them the cache answered.
        sources: all calls of the run, those of earlier starts too, by where their answers came from.
        funnel: where gold evidence was lost.
        oracle: what was swapped for gold, None in a plain run.
    """

    folder: Path
    questions: list[Question]
    rows: list[PredictionRow]
    summary: Summary
    seconds: float
    resumed: int
    calls: tuple[int, int]
    sources: Calls
    funnel: Funnel
    oracle: Oracle | None = None

    @property
    def failures(self) -> list[PredictionRow]:
        """The rows of the questions that failed."""
        return [row for row in self.rows if row["error"] is not None]


def run_experiment(
    pipeline: Pipeline,
    questions: str | Path | Sequence[Question | str | Mapping[str, Any]] | None = None,
    *,
    out: str | Path | None = None,
    limit: int | None = None,
    oracle: Sequence[str] = (),
    on_progress: OnProgress | None = None,
    on_folder: Any = None,
) -> Experiment:
    """Answer questions, score the answers, write the run folder.

    Args:
        pipeline: what answers.
        questions: a source as in the `run` section's `questions`, which is the default, or a list.
        out: the run's folder; by default a new one under `runs/<name>/`. A folder that holds an unfinished run of the
            same settings is completed.
        limit: only the first so many questions; by default the `run` section's.
        oracle: stages whose output is replaced by gold; see `ragkit.evaluation.oracle.with_oracle`.
        on_progress: told of every long step.
        on_folder: told of the run's folder before the first question.

    Raises:
        InputError: no questions, bad lines among them, or a folder that belongs to other settings.
        RagkitError: a model or the index cannot be opened.
        KeyboardInterrupt: the run was stopped; it can be completed with the same `out`.
    """
    report = on_progress or (lambda *_: None)
    start = time.perf_counter()
    metrics = [parse_metric(name) for name in pipeline.settings.metrics]
    asked, origin = _questions(
        pipeline.settings.questions if questions is None else questions,
        pipeline.settings.limit if limit is None else limit,
    )
    judges = cast("dict[str, Judge]", pipeline.settings.judges)
    for judge in judges.values():
        judge.prepare(asked)
    pipeline.prepare(report)
    lock = mask_secrets(make_lock(pipeline, origin) | ({"oracle": list(oracle)} if oracle else {}))
    swapped = with_oracle(pipeline, oracle, asked) if oracle else None
    runner = swapped.pipeline if swapped else pipeline
    folder = RunFolder(Path(out) if out else _new_folder(pipeline.name), lock)
    counts = [0, 0]
    with folder:
        about = About.begin(folder.path)
        if on_folder is not None:
            on_folder(folder.path)
        memories = [part for part in parts(pipeline.nodes) if isinstance(part, Memory)]
        refill = not all(memory.outlives_runs for memory in memories)  # from the cache
        done = {} if refill else dict(folder.finished)
        todo = [Asked(q.id, q.question, q.vars) for q in asked if q.id not in done]
        answered = len(done)

        def on_prediction(prediction: Prediction, context: QuestionContext) -> None:
            nonlocal answered
            folder.add(prediction, context)
            answered += 1
            counts[0] += len(context.calls)
            counts[1] += context.meter.cached
            report("questions", answered, len(asked))

        if todo:
            runner.predict(todo, on_prediction=on_prediction, on_progress=report)
        rows = cast("list[PredictionRow]", folder.finish(question.id for question in asked))
    traces = read_traces(folder.path)
    judging = _judge(pipeline, asked, rows, report)
    replace_file(folder.path / "judgements.jsonl", b"".join(dump_line(row) for row in judging.rows))
    costs, stages = costs_of(traces, asked)
    summary = summarise(asked, rows, metrics, costs, figures=judging.figures, stages=stages, judges=judging.report)
    evidence = Evidence.of(pipeline.index)
    try:
        lost = funnel(pipeline.nodes, asked, rows, traces, evidence=evidence, right=_right(summary, metrics))
        if evidence is not None:
            keep_texts(folder.path, asked, rows, evidence)
    finally:
        if evidence is not None:
            evidence.close()
    write_records(folder.path, asked, summary, lost)
    about.seconds += time.perf_counter() - start
    about.calls += counts[0]
    about.cached += counts[1]
    about.write(folder.path)
    write_report(folder.path / "report.html", pipeline.name, summary, asked, rows, folder.lock, run=folder.path)
    elapsed = time.perf_counter() - start
    return Experiment(
        folder.path,
        asked,
        rows,
        summary,
        elapsed,
        len(done),
        (counts[0], counts[1]),
        sources=count_calls(traces.values()),
        funnel=lost,
        oracle=swapped,
    )


def _right(summary: Summary, metrics: Sequence[Metric]) -> tuple[str, list[float | None]] | None:
    """Return the first metric that judges answers, which says what is right, and its values."""
    name = next((str(metric) for metric in metrics if metric.needs == "answers"), None)
    return (name, summary.scores[name]) if name else None


def _judge(
    pipeline: Pipeline, questions: Sequence[Question], rows: Sequence[PredictionRow], report: OnProgress
) -> Judging:
    """Let the judges of a pipeline's `run` section judge predictions."""
    judges = cast("dict[str, Judge]", pipeline.settings.judges)
    with project_cache(wanted=bool(judges and pipeline.settings.cache)) as cache:
        return run_judges(judges, questions, rows, models=pipeline.models, cache=cache, on_progress=report)


def _questions(
    given: str | Path | Sequence[Question | str | Mapping[str, Any]] | None, limit: int | None
) -> tuple[list[Question], dict[str, Any]]:
    """Return the questions and where they are from."""
    if given is None:
        raise InputError("no questions: name a file with --questions, or in the pipeline under 'run: questions:'")
    if limit is not None and limit < 1:
        raise InputError(f"limit must be at least 1, not {limit}")
    if isinstance(given, (str, Path)):
        questions = load_questions(given, limit)
    else:
        questions = [_question(item, number) for number, item in enumerate(given[:limit], 1)]
        if not questions:
            raise InputError("the list of questions is empty")
        if len({question.id for question in questions}) < len(questions):
            raise InputError("two questions of the list have the same id")
    # What is asked counts, not the file that it is in: a run can be repeated from its own folder.
    digest = hashlib.sha256(b"".join(question_line(question) for question in questions)).hexdigest()
    return questions, {"sha256": digest, "count": len(questions)}


def _question(item: Question | str | Mapping[str, Any], number: int) -> Question:
    if isinstance(item, Question):
        return item
    row = {"question": item} if isinstance(item, str) else dict(item)
    try:
        return question_of(row, number)
    except ValueError as error:
        raise InputError(f"question {number} of the list: {describe_problem(error)}") from None


def _new_folder(name: str) -> Path:
    """Return a folder that does not exist yet, named by the time."""
    stamp = datetime.now(UTC).astimezone().strftime("%Y-%m-%d_%H-%M-%S")
    folder = Path("runs") / name / stamp
    number = 1
    while True:
        try:
            folder.mkdir(parents=True)
        except FileExistsError:  # another run began in this second
            number += 1
            folder = Path("runs") / name / f"{stamp}_{number}"
        else:
            return folder
