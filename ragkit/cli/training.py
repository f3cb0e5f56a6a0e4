"""How far a training is: one live line on a terminal, a line now and then elsewhere."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from ragkit.cli.console import SECONDS_BETWEEN_LINES, errors

if TYPE_CHECKING:
    from ragkit.tuning.job import TrainingStep

_FIGURES = {"loss": "loss", "reward": "reward", "rewards/margins": "margin", "learning_rate": "rate"}
"""What is shown of what a trainer logs, and what it is called."""


class TrainingLine:
    """Shows the steps of a training with loss, learning rate, tokens a second and the time that is left."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[told]}", markup=False),
            console=errors,
        )
        self._task: TaskID | None = None
        self._known: dict[str, float] = {}
        self._printed: tuple[int, float] | None = None

    def __call__(self, step: "TrainingStep") -> None:
        """Show a step."""
        self._known |= {name: value for name, value in step.metrics.items() if name in _FIGURES}
        told = describe(step, self._known)
        if errors.is_terminal:
            if self._task is None:
                self._bar.start()
                self._task = self._bar.add_task("training", total=step.steps, told="")
            self._bar.update(self._task, completed=step.step, total=step.steps, told=told)
            return
        now = time.monotonic()
        number, then = self._printed or (-1, 0.0)
        due = number < 0 or step.step == step.steps or now - then >= SECONDS_BETWEEN_LINES
        if due and step.step != number:
            self._printed = (step.step, now)
            errors.print(f"training: step {step.step:,} of {step.steps:,}, {told}", markup=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._bar.stop()


def describe(step: "TrainingStep", known: dict[str, float]) -> str:
    """Return what is told of a step beside its number; `known` are the figures logged last."""
    parts = [f"{name} {_figure(known[key])}" for key, name in _FIGURES.items() if key in known]
    if step.tokens and step.seconds > 0:
        parts.append(f"{step.tokens / step.seconds:,.0f} tokens/s")
    if step.done and step.step < step.steps:
        parts.append(f"{duration(step.seconds / step.done * (step.steps - step.step))} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return a time as a reader takes it in."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _figure(value: float) -> str:
    return f"{value:.1e}" if 0 < abs(value) < 0.01 else f"{value:.3f}"
