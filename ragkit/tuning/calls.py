"""Model calls of builders and selectors: batched, cached and metered like those of a pipeline."""

from collections.abc import Sequence

from ragkit.engine.cache import CallCache
from ragkit.engine.tasks import Task, TaskOutcome, run_tasks
from ragkit.errors import RagkitError
from ragkit.paths import project_dir
from ragkit.tuning.data import BuildContext


def run_cached(tasks: Sequence[Task], name: str, context: BuildContext) -> list[TaskOutcome]:
    """Run tasks side by side and return their outcomes in order; one that raises harms no other.

    Raises:
        RagkitError: a model could not be opened, or every task failed.
    """
    cache = CallCache(project_dir() / "calls.sqlite")
    try:
        outcomes = run_tasks(tasks, name=name, cache=cache, on_progress=context.on_progress)
    finally:
        cache.close()
    if outcomes and all(outcome.error is not None for outcome in outcomes):
        raise RagkitError(f"{name}: all {len(outcomes)} failed, the first one with {outcomes[0].error}")
    return outcomes
