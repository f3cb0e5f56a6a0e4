"""What the terminal shows: results on standard output, progress and errors on standard error."""

import logging
import threading
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

output = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


class _ToConsole(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        errors.print(self.format(record), markup=False, soft_wrap=True)


def show_log() -> None:
    """Show what ragkit logs, one line each, between the progress bars."""
    log = logging.getLogger("ragkit")
    log.setLevel(logging.INFO)
    log.addHandler(_ToConsole())


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Show how many are done in a second."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.1f}/s" if speed else "", style="cyan")


class ProgressBars:
    """A bar with a rate for every long step; call it with the step's name, what is done, and the total.

    Where standard error is no terminal, each step is one line when it is done.
    """

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description:<24}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            console=errors,
        )
        self._tasks: dict[str, int] = {}
        self._lock = threading.Lock()

    def __call__(self, step: str, done: int, total: int) -> None:
        with self._lock:
            task = self._tasks.get(step)
            if task is None:
                self._bars.start()  # with the first step, so that nothing is drawn for a command that stops before
                task = self._tasks[step] = self._bars.add_task(step, total=total)
            self._bars.update(task, completed=done, total=total)  # type: ignore[arg-type]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._tasks:
            self._bars.stop()
