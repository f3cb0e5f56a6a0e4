"""Model calls of builders and selectors: batched, cached and metered like those of a pipeline."""

from collections.abc import Sequence
from typing import Any

from ragkit.engine.cache import project_cache
from ragkit.engine.tasks import Task, TaskOutcome, run_tasks
from ragkit.errors import RagkitError
from ragkit.tuning.data import BuildContext


def run_cached(tasks: Sequence[Task], name: str, context: BuildContext) -> list[TaskOutcome]:
    """Run tasks side by side and return their outcomes in order; one that raises harms no other.

    Raises:
        RagkitError: a model could not be opened, or every task failed.
    """
    with project_cache() as cache:
        outcomes = run_tasks(tasks, name=name, cache=cache, on_progress=context.on_progress)
    if outcomes and all(outcome.error is not None for outcome in outcomes):
        raise RagkitError(f"{name}: all {len(outcomes)} failed, the first one with {outcomes[0].error}")
    return outcomes


def values_of(outcomes: Sequence[TaskOutcome], problem: str) -> list[Any]:
    """Return what tasks found, all of which have to have succeeded.

    Raises:
        RagkitError: the first that failed, after what the problem is.
    """
    for outcome in outcomes:
        if outcome.error is not None:
            raise RagkitError(f"{problem}: {outcome.error}")
    return [outcome.value for outcome in outcomes]
