"""Repeat a run from its folder and find the first place where the repetition differs."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ragkit.engine.calls import OnProgress
from ragkit.engine.run_folder import PREDICTIONS, TRACE, differences, read_lines
from ragkit.errors import InputError
from ragkit.evaluation.experiment import run_experiment
from ragkit.evaluation.questions import read_questions
from ragkit.evaluation.records import QUESTIONS, check_finished, read_lock, read_predictions
from ragkit.models.secrets import MASK
from ragkit.pipeline import Pipeline

_PIPELINE = ("name", "models", "index", "memory", "pipeline", "run")


@dataclass(frozen=True, slots=True)
class Changed:
    """Something that a run depends on and that is another now: a dotted name in the lock, and both values."""

    name: str
    then: Any
    now: Any


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first place where the repetition differs.

    Attributes:
        question: id of the first question, in the order of the run, that differs.
        stage: the first stage of that question that did something else, or `prediction`.
        field: what differs there: a written field, a call's argument or answer, by its dotted name.
        then: its value in the run.
        now: its value in the repetition.
        questions: how many questions differ in their predictions.
    """

    question: str
    stage: str
    field: str
    then: Any
    now: Any
    questions: int


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came of repeating a run.

    Attributes:
        folder: the repetition.
        questions: how many there are.
        changed: what the run depends on and that differs now.
        divergence: None if every prediction is identical.
    """

    folder: Path
    questions: int
    changed: list[Changed]
    divergence: Divergence | None


def load_again(run: Path) -> tuple[Pipeline, dict[str, Any]]:
    """Return the pipeline of a run, built from its lock, and the lock.

    Raises:
        InputError: the folder holds no finished run, or its pipeline exists in Python only, or needs secrets that a
            lock does not hold.
    """
    check_finished(run)
    lock = read_lock(run)
    if "python_only" in lock:
        raise InputError(f"{run}: its pipeline was built in Python and cannot be rebuilt ({lock['python_only']})")
    data = {key: lock[key] for key in _PIPELINE if key in lock}
    masked = list(_masked(data))
    if masked:
        raise InputError(
            f"{run}: the lock holds no secrets, but the pipeline needs one: {masked[0]}; "
            "name a variable of the environment in the pipeline instead"
        )
    return Pipeline.from_yaml(yaml.safe_dump(data, sort_keys=False, allow_unicode=True)), lock


def _masked(value: Any, name: str = "") -> Iterator[str]:
    """Yield the dotted names of values that `mask_secrets` has hidden."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _masked(item, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _masked(item, f"{name}[{number}]")
    elif isinstance(value, str) and MASK in value:
        yield name


def reproduce(
    run: Path,
    out: Path,
    *,
    cache: bool = True,
    on_progress: OnProgress | None = None,
    on_changed: Callable[[Changed], None] = lambda _: None,
) -> Reproduction:
    """Repeat a run with the settings of its lock on the questions that it kept, and compare.

    Args:
        run: the run's folder.
        out: where the repetition goes.
        cache: take answers from the call cache; without it everything is computed anew.
        on_progress: told of every long step.
        on_changed: told of what the run depends on and that differs now, before the first question.

    Raises:
        InputError: the run cannot be repeated.
        RagkitError: a model or the index cannot be opened.
    """
    pipeline, lock = load_again(run)
    changed: list[Changed] = []

    def on_folder(folder: Path) -> None:
        for name, then, now in differences(lock, read_lock(folder)):
            changed.append(Changed(name, then, now))
            on_changed(changed[-1])

    with pipeline:
        pipeline.settings = pipeline.settings.model_copy(update={"cache": cache})
        questions = read_questions(run / QUESTIONS)
        read_predictions(run, questions)  # what cannot be compared is not worth a repetition
        oracle = tuple(lock.get("oracle", ()))
        run_experiment(pipeline, questions, out=out, oracle=oracle, on_progress=on_progress, on_folder=on_folder)
    return Reproduction(out, len(questions), changed, first_divergence(run, out))


def first_divergence(run: Path, again: Path) -> Divergence | None:
    """Return where two runs of the same questions part, None if all predictions are identical."""
    then = {row["id"]: row for row in read_lines(run / PREDICTIONS)}
    now = {row["id"]: row for row in read_lines(again / PREDICTIONS)}
    differing = [name for name in then if then[name] != now.get(name)]
    if not differing:
        return None
    first = differing[0]
    events = [_events(folder, first) for folder in (run, again)]
    for stage in dict.fromkeys([*events[0], *events[1]]):
        found = next(iter(differences(events[0].get(stage), events[1].get(stage))), None)
        if found is not None:
            field, *values = found
            return Divergence(first, stage, field or "(whether it ran)", values[0], values[1], len(differing))
    field, *values = next(iter(differences(then[first], now.get(first))))
    return Divergence(first, "prediction", field, values[0], values[1], len(differing))


def _events(folder: Path, question: str) -> dict[str, dict[str, Any]]:
    """Return what each stage did for a question: its calls, then what it wrote, without timing."""
    trace: dict[str, Any] = {}
    for row in read_lines(folder / TRACE):
        if row["id"] == question:
            trace = row  # the last one: a question that failed was run again
    events = {}
    for event in trace.get("stages", ()):
        calls = [{key: call[key] for key in ("op", "args", "value")} for call in event.get("calls", ())]
        calls.sort(
            key=lambda call: json.dumps([call["op"], call["args"]], sort_keys=True)
        )  # not by who was answered first
        done = {"error": event.get("error"), "calls": calls, "wrote": event["wrote"]}
        events[event["stage"]] = _rounded(done)
    return events


def _rounded(value: Any) -> Any:
    """Return data with numbers as predictions keep them: the last bits depend on the batch."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
