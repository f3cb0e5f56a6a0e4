"""Run coroutines that make calls in one run of the engine: batched, cached and metered like those of a pipeline."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ragkit.engine.cache import CallCache
from ragkit.engine.calls import Meter, OnProgress, QuestionContext
from ragkit.engine.nodes import Complain, Known, Node
from ragkit.engine.run import Prediction, run_questions
from ragkit.engine.state import State
from ragkit.engine.trace import Trace

Task = Callable[[], Awaitable[Any]]
"""Makes calls and returns what it found out."""


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """What became of a task.

    Attributes:
        value: what it returned; None if it failed.
        error: type and message of the exception that it raised, None if it raised none.
        usage: what its calls used.
    """

    value: Any
    error: str | None
    usage: Meter


class _Tasks(Node):
    """Runs the task whose number is the state's id."""

    tasks: tuple[Task, ...]

    async def run(self, state: State, trace: Trace, scope: str = "") -> None:
        state.vars["value"] = await self.tasks[int(state.id)]()

    def check(self, known: Known, complain: Complain) -> Known:
        return known

    def written(self) -> Known:
        return frozenset({"vars.value"})


def run_tasks(
    tasks: Sequence[Task],
    *,
    name: str = "tasks",
    cache: CallCache | None = None,
    on_progress: OnProgress | None = None,
) -> list[TaskOutcome]:
    """Run tasks side by side and return their outcomes in order; one that raises harms no other.

    Args:
        tasks: what to run.
        name: what their progress is called.
        cache: where answers of calls are looked up and kept.
        on_progress: told of finished tasks and of answered calls.

    Raises:
        RagkitError: a model could not be opened.
        KeyboardInterrupt: the user pressed Ctrl-C.
    """
    report = on_progress or (lambda *_: None)
    finished = 0

    def on_prediction(prediction: Prediction, context: QuestionContext) -> None:
        nonlocal finished
        finished += 1
        report(name, finished, len(tasks))

    questions = [(str(number), name) for number in range(len(tasks))]
    done = run_questions(
        [_Tasks(tasks=tuple(tasks))], questions, cache=cache, on_prediction=on_prediction, on_progress=on_progress
    )
    return [
        TaskOutcome(
            value=prediction.vars.get("value"),
            error=f"{prediction.error['type']}: {prediction.error['message']}" if prediction.error else None,
            usage=prediction.usage,
        )
        for prediction in done
    ]
