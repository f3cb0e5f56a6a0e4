"""What the terminal shows: results on standard output, progress and errors on standard error."""

import logging
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.segment import Segment
from rich.text import Text
from typing_extensions import override

# Control characters by their pictures (ESC is ␛); those of 8 bits, and those that turn the direction of writing, by �.
_SHOWN = {
    **{code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"},
    **{0x7F: 0x2421},
    **dict.fromkeys([*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], 0xFFFD),
}


class SafeConsole(Console):
    """A console whose texts cannot command the terminal: questions, passages and answers come from anywhere."""

    @override
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else text.translate(_SHOWN), style, control)


output = SafeConsole(highlight=False)
errors = SafeConsole(stderr=True, highlight=False)

SECONDS_BETWEEN_LINES = 15.0


class _ToConsole(logging.Handler):
    """Prints what is logged; what says the same as the line before it (an index is up to date) is said once."""

    _last = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if text != self._last:
            self._last = text
            errors.print(text, markup=False, soft_wrap=True)


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

    Where standard error is no terminal, a step prints a line when it is done and every 15 seconds on the way.
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
        self._tasks: dict[str, TaskID] = {}
        self._printed: dict[str, float] = {}
        self._finished: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, step: str, done: int, total: int) -> None:
        with self._lock:
            if errors.is_terminal:
                self._draw(step, done, total)
            else:
                self._print(step, done, total)

    def _draw(self, step: str, done: int, total: int) -> None:
        if step not in self._tasks:
            self._bars.start()  # with the first step, so that nothing is drawn for a command that stops before
            self._tasks[step] = self._bars.add_task(step, total=total)
        self._bars.update(self._tasks[step], completed=done, total=total)

    def _print(self, step: str, done: int, total: int) -> None:
        now = time.monotonic()
        last = self._printed.setdefault(step, now)
        if done < total:
            self._finished.discard(step)
        elif step in self._finished:
            return
        else:
            self._finished.add(step)
        if done == total or now - last >= SECONDS_BETWEEN_LINES:
            self._printed[step] = now
            errors.print(f"{step}: {done:,} of {total:,}", markup=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._tasks:
            self._bars.stop()


def shorten(text: str, length: int) -> str:
    """Return a text in one line, cut to a length."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: `1 question`, `2 questions`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size_of(count: float) -> str:
    """Return a number of bytes as a reader takes it in."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"
