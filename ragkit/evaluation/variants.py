"""Evaluate a pipeline and variants of it on the same questions: with oracles, without stages, over settings."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from ragkit.engine.calls import OnProgress
from ragkit.errors import InputError, did_you_mean
from ragkit.evaluation.ablation import grid, parse_sweep, split, without_each
from ragkit.evaluation.compare import Scores
from ragkit.evaluation.datasets import load_questions
from ragkit.evaluation.experiment import run_experiment
from ragkit.evaluation.judges import Judge, quality_figures
from ragkit.evaluation.metrics import parse_metric
from ragkit.evaluation.oracle import chosen_steps
from ragkit.evaluation.questions import Question
from ragkit.evaluation.table import Row, Table, make_row, with_differences
from ragkit.pipeline import Pipeline

_LONGEST_FOLDER = 120

FULL = "as it is"
"""What the unchanged pipeline is called in tables."""

IN_SAMPLE = (
    "The values of a sweep were tried on the questions that they are reported on: the best of them looks better than "
    "it is. To choose one, use --select METRIC --validation SHARE (or a file)."
)


CALLS = "Calls made are those that ran; known are those that the cache, or an equal call under way, answered."


@dataclass(frozen=True, slots=True)
class Plan:
    """What to evaluate.

    Attributes:
        file: the pipeline's YAML file.
        overrides: changes of its settings, for all variants.
        questions: where the questions are, instead of the pipeline's own.
        limit: only the first so many questions.
        oracles: each entry is one variant; `retrieve+read` swaps both.
        ablate: leave out each stage in turn.
        sweeps: settings with their values, `rerank.cross_encoder.k=1,3`; several make a grid.
        select: a quality metric, by which one point of the grid is chosen on validation questions.
        validation: where these are, or which share of the questions they are (drawn by a hash of their texts).
    """

    file: Path
    overrides: Sequence[str] = ()
    questions: str | None = None
    limit: int | None = None
    oracles: Sequence[str] = ()
    ablate: bool = False
    sweeps: Sequence[str] = ()
    select: str | None = None
    validation: str | None = None


OnVariant = Callable[[str], None]


@dataclass
class _Evaluation:
    """Runs variants in one folder and collects their rows."""

    out: Path
    on_progress: OnProgress | None
    on_variant: OnVariant
    rows: list[Row] = field(default_factory=list)
    scores: list[Scores] = field(default_factory=list)

    def run(
        self, pipeline: Pipeline, questions: Sequence[Question], name: str, group: str = "", oracle: Sequence[str] = ()
    ) -> Row:
        self.on_variant(f"{group}: {name}" if group else name)
        experiment = run_experiment(
            pipeline,
            questions,
            out=self.out / folder_name(group) / folder_name(name) if group else self.out / folder_name(name),
            oracle=oracle,
            on_progress=self.on_progress,
        )
        row = make_row(experiment, name, group)
        self.rows.append(row)
        self.scores.append(experiment.summary.scores)
        return row

    def finish(self, group: str) -> None:
        """Put the differences to the first row of a group into its rows."""
        members = [number for number, row in enumerate(self.rows) if row.group == group]
        rows = [self.rows[number] for number in members]
        changed = with_differences(rows, [self.scores[number] for number in members], rows[0])
        for number, row in zip(members, changed, strict=True):
            self.rows[number] = row


def evaluate(
    plan: Plan, out: Path, *, on_progress: OnProgress | None = None, on_variant: OnVariant = lambda _: None
) -> Table:
    """Run a pipeline and its variants and return the table; each run is a folder below `out`.

    Models, index and call cache are shared, so a variant makes only the calls that no run before it has made. Runs that
    `out` holds already are taken as they are, or completed.

    Raises:
        InputError: the plan does not fit the pipeline, or the questions are wrong.
        RagkitError: a model or the index cannot be opened.
    """
    sweeps = [parse_sweep(text) for text in plan.sweeps]
    points = list(grid(sweeps)) if sweeps else []
    evaluation = _Evaluation(out, on_progress, on_variant)
    notes: list[str] = []
    with Pipeline.load(plan.file, plan.overrides) as pipeline:
        _check_selection(plan, pipeline)
        for _, overrides in points:
            Pipeline.load(plan.file, [*plan.overrides, *overrides])  # all mistakes before the first run
        for oracle in plan.oracles:
            chosen_steps(pipeline, oracle.split("+"))
        questions = load_questions(_source(plan, pipeline), plan.limit or pipeline.settings.limit)
        if plan.select:
            validation, questions = _divide(plan, questions)
            chosen, equals = _choose(plan, points, validation, evaluation)
            tie = f" ({', '.join(equals)} did as well: the first one named was taken)" if equals else ""
            notes.append(
                f"{chosen[0]} was chosen by {plan.select} on {len(validation)} validation questions{tie}; "
                f"the rows of 'test' are over {len(questions)} others."
            )
            points = [chosen]
        elif points:
            notes.append(IN_SAMPLE)
        group = "test" if plan.select else ""
        evaluation.run(pipeline, questions, FULL, group)
        for oracle in plan.oracles:
            row = evaluation.run(pipeline, questions, f"oracle {oracle}", group, oracle.split("+"))
            notes += oracle_notes(row)
        if plan.ablate:
            ablations = without_each(pipeline)
            for step, smaller in ablations.pipelines.items():
                evaluation.run(smaller, questions, f"without {step}", group)
            notes += [f"{step} was not left out: {reason}" for step, reason in ablations.kept.items()]
    for name, overrides in points:
        with Pipeline.load(plan.file, [*plan.overrides, *overrides]) as changed:
            evaluation.run(changed, questions, name, group)
    evaluation.finish(group)
    notes.append(CALLS)
    if len(evaluation.rows) > 1:
        notes.append(
            f"Differences are to '{FULL}', over the same questions, with 95 % bootstrap intervals; p by paired "
            "randomisation tests, corrected by Holm for the number of variants."
        )
    return Table(pipeline.name, evaluation.rows, notes)


def oracle_notes(row: Row) -> list[str]:
    """Return what a reader must know about a row whose stages were replaced by gold."""
    if row.oracle is None:
        return []
    notes = []
    if row.oracle.missing:
        ids = "1 gold id is" if row.oracle.missing == 1 else f"{row.oracle.missing} gold ids are"
        notes.append(f"{row.name}: {ids} not in the index.")
    if row.oracle.untouched:
        questions = "1 question has" if row.oracle.untouched == 1 else f"{row.oracle.untouched} questions have"
        notes.append(f"{row.name}: {questions} no gold passage in the index, so the stage worked as always there.")
    return notes


def folder_name(name: str) -> str:
    """Return a run's name as the name of a folder."""
    plain = name.replace(" ", "_")
    safe = re.sub(r"[^\w.+=,-]+", "_", plain).lstrip(".")
    if safe == plain and len(safe) <= _LONGEST_FOLDER:
        return safe
    # What was taken away may be all that tells two runs apart.
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe[: _LONGEST_FOLDER - len(mark) - 1]}-{mark}"


def _source(plan: Plan, pipeline: Pipeline) -> str:
    source = plan.questions or pipeline.settings.questions
    if source is None:
        raise InputError("no questions: name a file with --questions, or in the pipeline under 'run: questions:'")
    return source


def _check_selection(plan: Plan, pipeline: Pipeline) -> None:
    if (plan.select is None) != (plan.validation is None):
        raise InputError("--select and --validation go together: choose by METRIC on the validation questions")
    if plan.select is None:
        return
    if not plan.sweeps:
        raise InputError("--select chooses a point of a --sweep, but there is none")
    metrics = pipeline.settings.metrics
    judges = cast("dict[str, Judge]", pipeline.settings.judges)
    quality = [*(name for name in metrics if parse_metric(name).needs), *quality_figures(judges, pipeline.models)]
    if plan.select in metrics and plan.select not in quality:
        raise InputError(f"--select {plan.select}: choose by a metric of quality, not by a cost")
    if plan.select not in quality:
        hint = did_you_mean(plan.select, quality)
        raise InputError(
            f"--select {plan.select}: the pipeline does not measure it{hint} (it measures: {', '.join(quality)})"
        )


def _divide(plan: Plan, questions: list[Question]) -> tuple[list[Question], list[Question]]:
    """Return the questions for choosing and those for reporting."""
    try:
        share = float(plan.validation or "")
    except ValueError:
        validation = load_questions(str(plan.validation))
        seen = {question.question for question in questions} & {question.question for question in validation}
        if seen:
            raise InputError(
                f"--validation {plan.validation}: {len(seen)} of its questions are reported on too, "
                f"the first is '{min(seen)}'"
            ) from None
        return validation, questions
    return split(questions, share)


def _choose(
    plan: Plan, points: Sequence[tuple[str, list[str]]], validation: Sequence[Question], evaluation: _Evaluation
) -> tuple[tuple[str, list[str]], list[str]]:
    """Return the point of the grid that is best on the validation questions, and the names of later ones as good."""
    rows = []
    for name, overrides in points:
        with Pipeline.load(plan.file, [*plan.overrides, *overrides]) as changed:
            rows.append(evaluation.run(changed, validation, name, "validation"))
    metric = str(plan.select)
    values = [row.metrics[metric].value for row in rows]
    known = [value for value in values if value is not None]
    if not known:
        raise InputError(f"--select {metric}: it applies to none of the validation questions")
    best, *equals = [point for point, value in zip(points, values, strict=True) if value == max(known)]
    return best, [name for name, _ in equals]
