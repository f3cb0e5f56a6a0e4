"""Suites: question sets and the pipelines to compare on them, in one YAML file."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from ragkit.config.build import Builder
from ragkit.config.messages import show
from ragkit.config.problems import ConfigError
from ragkit.config.source import Source, read_source
from ragkit.documents import discover
from ragkit.engine.calls import OnProgress
from ragkit.engine.component import Component
from ragkit.engine.nodes import written_by
from ragkit.errors import InputError
from ragkit.evaluation.compare import Scores
from ragkit.evaluation.experiment import run_experiment
from ragkit.evaluation.oracle import OracleMisfitError, chosen_steps
from ragkit.evaluation.question_sets import QuestionSet, pipeline_over, ranking_only, set_folder, set_questions
from ragkit.evaluation.questions import Question
from ragkit.evaluation.split import Part, in_part
from ragkit.evaluation.table import Row, Table, make_row, with_differences
from ragkit.evaluation.variants import folder_name, oracle_notes
from ragkit.pipeline import Pipeline
from ragkit.settings import MetricName

SECTIONS = ("name", "metrics", "limit", "part", "pipelines", "oracles", "sets")


class SuiteSettings(Component):
    """What a suite file holds beside its sets."""

    name: str = Field(min_length=1, description="what the results are called")
    pipelines: tuple[str, ...] = Field(min_length=1, description="YAML files; the first one is the baseline")
    metrics: tuple[MetricName, ...] = Field(("em", "f1"), description="what is measured")
    oracles: tuple[str, ...] = Field(
        (), description="each one a further run with stages replaced: retrieve, retrieve+read"
    )
    limit: int | None = Field(None, ge=1, description="only the first so many questions of each set")
    part: Part | None = Field(
        None, description="only this part of each set's questions: recipes train on `train` and never on `test`"
    )


@dataclass(frozen=True, slots=True)
class Suite:
    """A checked suite: its settings and its question sets by name."""

    settings: SuiteSettings
    sets: dict[str, QuestionSet]


def is_suite(path: Path) -> bool:
    """Say whether a YAML file is a suite: it names `sets` and holds no `pipeline`."""
    data = _read(path).data
    return isinstance(data, dict) and "sets" in data and "pipeline" not in data


def load_suite(path: Path) -> Suite:
    """Read and check a suite file.

    Raises:
        ConfigError: with every problem of the file, each at its place.
        InputError: the file cannot be read.
    """
    source = _read(path)
    builder = Builder(source)
    data = source.data
    if not isinstance(data, dict):
        builder.complain((), f"a suite is a mapping of sections ({', '.join(SECTIONS)}), not {show(data)}")
        raise ConfigError(str(path), builder.problems, source.text)
    builder.unknown_keys(data, SECTIONS, (), "")
    own = {"name": path.stem} | {key: value for key, value in data.items() if key in SECTIONS and key != "sets"}
    settings = builder.component(SuiteSettings, own, (), "suite")
    entries = builder.mapping(data.get("sets"), ("sets",), "sets") or {}
    if not entries and not builder.problems:
        builder.complain(("sets",), "names no question set")
    sets = {
        name: builder.component(QuestionSet, value, ("sets", name), f"sets.{name}") for name, value in entries.items()
    }
    if builder.problems or settings is None:
        raise ConfigError(str(path), builder.problems, source.text)
    return Suite(settings, sets)


def _read(path: Path) -> Source:
    try:
        return read_source(path.read_text(encoding="utf-8-sig"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


@dataclass(frozen=True, slots=True)
class _Pair:
    """A pipeline on a set, ready to run."""

    group: str
    name: str
    pipeline: Pipeline
    questions: Sequence[Question]


OnPair = Callable[[str], None]


def run_suite(
    path: Path,
    out: Path,
    *,
    data: Path | None = None,
    limit: int | None = None,
    sets: Sequence[str] = (),
    overrides: Sequence[str] = (),
    on_progress: OnProgress | None = None,
    on_pair: OnPair = lambda _: None,
) -> Table:
    """Run every pipeline of a suite on every set, and the oracles; each run is a folder `<set>/<pipeline>` below `out`.

    Everything is checked before the first run. Runs that `out` holds already are taken as they are, or completed.

    Args:
        path: the suite file.
        out: where the runs go.
        data: the folder that holds a folder for each set.
        limit: only the first so many questions of each set, instead of the suite's own limits.
        sets: only these sets.
        overrides: changes of the settings of all pipelines.
        on_progress: told of every long step.
        on_pair: told of each run as it begins.

    Raises:
        InputError: the suite, a pipeline, or a set's files are wrong or missing.
        RagkitError: a model or an index cannot be opened.
    """
    suite = load_suite(path)
    unknown = [name for name in sets if name not in suite.sets]
    if unknown:
        raise InputError(f"{path}: there is no set '{unknown[0]}' (sets: {', '.join(suite.sets)})")
    wanted = {name: own for name, own in suite.sets.items() if not sets or name in sets}
    notes: list[str] = []
    pairs = list(_pairs(suite.settings, wanted, data, limit, overrides, notes))
    _check_runs(path, suite.settings, pairs)
    rows: list[Row] = []
    for name in wanted:
        rows += _run_set(
            [pair for pair in pairs if pair.group == name], suite.settings, out, notes, on_progress, on_pair
        )
    notes.append(
        "Differences of pipelines are to the first one of their set, those of oracles to their own pipeline, over the "
        "same questions, with 95 % bootstrap intervals; p by paired randomisation tests, corrected by Holm for the "
        "number of runs with one baseline."
    )
    return Table(suite.settings.name, rows, notes)


def _pairs(
    settings: SuiteSettings,
    sets: dict[str, QuestionSet],
    data: Path | None,
    limit: int | None,
    overrides: Sequence[str],
    notes: list[str],
) -> Iterator[_Pair]:
    for name, own in sets.items():
        folder = set_folder(name, own, data)
        questions = set_questions(name, own, folder)
        questions = questions if settings.part is None else in_part(questions, settings.part)
        questions = questions[: limit or own.limit or settings.limit]
        discover(own.documents, folder)  # says now what is missing
        metrics = own.metrics or settings.metrics
        changes = [f"run.metrics={json.dumps(metrics)}"]
        for file in settings.pipelines:
            pipeline = pipeline_over(file, own, folder, [*overrides, *changes])
            if own.task == "ranking":
                if "documents" not in written_by(pipeline.nodes):
                    notes.append(f"{name}: {pipeline.name} ranks nothing and was left out.")
                    continue
                pipeline = ranking_only(pipeline)
            yield _Pair(name, pipeline.name, pipeline, questions)


def _check_runs(path: Path, settings: SuiteSettings, pairs: Sequence[_Pair]) -> None:
    """Refuse pipelines that would share a folder, and oracles that fit nothing (a misprint) or cannot be made."""
    folders: set[tuple[str, str]] = set()
    for pair in pairs:
        folder = (folder_name(pair.group), folder_name(pair.name))
        if folder in folders:
            raise InputError(f"{path}: pipelines: two are called '{pair.name}'; give each a 'name' of its own")
        folders.add(folder)
    for oracle in settings.oracles:
        misfits = [misfit for pair in pairs if (misfit := _misfit(pair, oracle)) is not None]
        if pairs and len(misfits) == len(pairs):
            raise InputError(f"{path}: oracles: '{oracle}' fits no step of any pipeline: {misfits[0]}")


def _misfit(pair: _Pair, oracle: str) -> OracleMisfitError | None:
    try:
        chosen_steps(pair.pipeline, oracle.split("+"))
    except OracleMisfitError as misfit:
        return misfit
    return None


def _run_set(
    pairs: Sequence[_Pair],
    settings: SuiteSettings,
    out: Path,
    notes: list[str],
    on_progress: OnProgress | None,
    on_pair: OnPair,
) -> list[Row]:
    """Return the rows of one set: each pipeline's, followed by those of its oracles."""
    plain: list[tuple[Row, Scores]] = []
    oracles: list[list[tuple[Row, Scores]]] = []

    def run(pair: _Pair, name: str, oracle: Sequence[str] = ()) -> tuple[Row, Scores]:
        on_pair(f"{pair.group}: {name}")
        folder = out / folder_name(pair.group) / folder_name(name)
        experiment = run_experiment(pair.pipeline, pair.questions, out=folder, oracle=oracle, on_progress=on_progress)
        return make_row(experiment, name, pair.group), experiment.summary.scores

    for pair in pairs:
        with pair.pipeline:
            plain.append(run(pair, pair.name))
            found = []
            for oracle in settings.oracles:
                try:
                    found.append(run(pair, f"{pair.name}, oracle {oracle}", oracle.split("+")))
                except OracleMisfitError as misfit:
                    note = f"{pair.group}, {pair.name}: {misfit}"
                    notes += [note] if note not in notes else []
                else:
                    notes += [f"{pair.group}, {note}" for note in oracle_notes(found[-1][0])]
            oracles.append(found)
    compared = _compared(plain)
    rows: list[Row] = []
    for row, own, perfect in zip(compared, plain, oracles, strict=True):
        rows += [row, *_compared([own, *perfect])[1:]]
    return rows


def _compared(runs: Sequence[tuple[Row, Scores]]) -> list[Row]:
    rows = [row for row, _ in runs]
    return with_differences(rows, [scores for _, scores in runs], rows[0])
