"""A recipe's question sets, each with the recipe's pipeline over its documents."""

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from ragkit.engine.calls import OnProgress
from ragkit.errors import InputError
from ragkit.evaluation.question_sets import QuestionSet, pipeline_over, ranking_only, set_folder, set_questions
from ragkit.evaluation.questions import Question
from ragkit.evaluation.split import Part, in_part
from ragkit.tuning.data import OpenSet, TuningSet
from ragkit.tuning.recipe import Recipe


def openers(
    recipe: Recipe,
    data: Path | None,
    on_progress: OnProgress,
    *,
    pipeline: str | None = None,
    changes: Sequence[str] = (),
) -> dict[str, OpenSet]:
    """Return what opens each set of a recipe with its questions of a part.

    Args:
        recipe: the recipe.
        data: the folder that holds a folder for each set.
        on_progress: told of every long step.
        pipeline: another pipeline file than the recipe's own, taken as it is.
        changes: further changes of the pipeline's settings.

    Raises:
        InputError: files of a set are missing or wrong.
    """
    file = pipeline or recipe.settings.pipeline
    overrides = [*(() if pipeline else recipe.overrides), *changes]
    found: dict[str, OpenSet] = {}
    for name, own in recipe.sets.items():
        folder = set_folder(name, own, data)
        found[name] = _opener(name, own, folder, set_questions(name, own, folder), file, overrides, on_progress)
    return found


def counts(recipe: Recipe, data: Path | None) -> dict[str, dict[Part, int]]:
    """Return how many questions each set has in each part.

    Raises:
        InputError: files of a set are missing or wrong.
    """
    parts: tuple[Part, ...] = ("train", "validation", "test")
    found = {}
    for name, own in recipe.sets.items():
        questions = set_questions(name, own, set_folder(name, own, data))
        found[name] = {part: len(in_part(questions, part, own.split)) for part in parts}
        if not any(found[name].values()):
            raise InputError(f"set '{name}': has no questions")
    return found


def _opener(
    name: str,
    own: QuestionSet,
    folder: Path,
    questions: Sequence[Question],
    file: str,
    overrides: Sequence[str],
    on_progress: OnProgress,
) -> OpenSet:
    measured = [f"run.metrics={json.dumps(own.metrics)}"] if own.metrics else []

    @contextmanager
    def opened(part: Part) -> Iterator[TuningSet]:
        with pipeline_over(file, own, folder, [*overrides, *measured]) as whole:
            pipeline = ranking_only(whole) if own.task == "ranking" else whole
            pipeline.prepare(on_progress)
            chosen = in_part(questions, part, own.split)
            yield TuningSet(name, pipeline, chosen[: own.limit] if own.limit else chosen)

    def open_set(part: Part) -> AbstractContextManager[TuningSet]:
        return opened(part)

    return open_set
