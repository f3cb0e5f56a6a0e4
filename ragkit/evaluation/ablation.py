"""Variants of a pipeline: without one of its stages, or over a grid of settings."""

import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ragkit.config.problems import ConfigError
from ragkit.config.source import read_source
from ragkit.engine.controls import steps_of
from ragkit.engine.nodes import Node, Step, written_by
from ragkit.errors import InputError
from ragkit.evaluation.questions import Question
from ragkit.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Ablations:
    """Pipelines without one step each, by the step's id; and the steps that cannot be left out, with the reason."""

    pipelines: dict[str, Pipeline]
    kept: dict[str, str]


def without_each(pipeline: Pipeline) -> Ablations:
    """Leave out each step in turn, those inside control nodes too.

    A step stays if the pipeline would be invalid without it, or would no longer write `answer` or `documents`.
    """
    pipelines: dict[str, Pipeline] = {}
    kept: dict[str, str] = {}
    for step in steps_of(pipeline.nodes):
        try:
            nodes = _without(pipeline.nodes, step.id)
            lost = {"answer", "documents"} & written_by(pipeline.nodes) - written_by(nodes)
            if lost:
                raise InputError(f"nothing would write '{min(lost)}'")
            pipelines[step.id] = Pipeline(
                nodes, name=pipeline.name, models=pipeline.models, index=pipeline.index, run=pipeline.settings
            )
        except InputError as error:
            kept[step.id] = str(error).partition("\n")[0]
    return Ablations(pipelines, kept)


def _without(nodes: Sequence[Node], step_id: str) -> tuple[Node, ...]:
    """Return nodes without a step.

    Raises:
        InputError: a control node would have nothing to do.
    """
    left: list[Node] = []
    for node in nodes:
        if isinstance(node, Step):
            if node.id != step_id:
                left.append(node)
            continue
        changed: dict[str, Any] = {}
        for name in type(node).model_fields:
            value = getattr(node, name)
            if isinstance(value, tuple) and value and isinstance(value[0], Node):
                changed[name] = _without(value, step_id)
                if not changed[name] and type(node).model_fields[name].is_required():
                    raise InputError("it is the only step of its control node")
            elif isinstance(value, dict) and all(isinstance(do, tuple) for do in value.values()):
                changed[name] = {key: _without(do, step_id) for key, do in value.items()}
                if not all(changed[name].values()):
                    raise InputError("it is the only step of its branch")
        left.append(node.model_copy(update=changed))
    return tuple(left)


Sweep = tuple[str, tuple[object, ...]]
"""A setting's path, as for --set, and the values that it takes in turn."""


def parse_sweep(text: str) -> Sweep:
    """Return the path and the values of `path.to.key=1,3,5`; values are read as YAML.

    Raises:
        InputError: it is of another form, has fewer than two values, or one of them twice.
    """
    path, equals, listed = text.partition("=")
    if not path or not equals:
        raise InputError(f"--sweep {text}: write it as path.to.key=value,value,...")
    try:
        values = read_source(f"[{listed}]", "values").data
    except ConfigError as error:
        raise InputError(f"--sweep {text}: {error.problems[0].message}") from None
    if len(values) < 2:
        raise InputError(f"--sweep {text}: name at least two values, with commas between them")
    if repeated := [value for number, value in enumerate(values) if value in values[:number]]:
        raise InputError(f"--sweep {text}: {_shown(repeated[0])} is named twice")
    return path, tuple(values)


def grid(sweeps: Sequence[Sweep]) -> Iterator[tuple[str, list[str]]]:
    """Yield every combination of values: its name, and the overrides that make it."""
    choices = [[(path, value) for value in values] for path, values in sweeps]
    for combination in itertools.product(*choices):
        overrides = [f"{path}={json.dumps(value)}" for path, value in combination]
        yield ", ".join(f"{path}={_shown(value)}" for path, value in combination), overrides


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def split(questions: Sequence[Question], share: float) -> tuple[list[Question], list[Question]]:
    """Divide questions into those for choosing settings and those for reporting, by a hash of their texts.

    A question falls on the same side in every run and with every other question beside it, and so does the same
    question under another id.

    Raises:
        InputError: the share is not between 0 and 1, or one side is empty.
    """
    if not 0 < share < 1:
        raise InputError(f"--validation {share}: a share lies between 0 and 1")

    def chosen(question: Question) -> bool:
        digest = hashlib.sha256(question.question.encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8]) < share * 2**64

    validation = [question for question in questions if chosen(question)]
    test = [question for question in questions if not chosen(question)]
    if not validation or not test:
        raise InputError(f"--validation {share}: with {len(questions)} questions, one side of the split is empty")
    return validation, test
