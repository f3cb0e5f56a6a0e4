"""Problems in a user's file: collected, placed, shown all at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from ragkit.errors import InputError

Path = tuple[str | int, ...]
"""Where a value stands in the data: keys and list positions from the top."""


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong: line and column (from 1; 0 when not from the file), where, and what."""

    line: int
    column: int
    message: str
    where: str = ""

    def show(self, file: str, lines: Sequence[str]) -> str:
        """Return the problem as `file:line:column: where: message` with the offending line below."""
        place = f"{file}:{self.line}:{self.column}" if self.line else file
        shown = [f"{place}: {self.where}: {self.message}" if self.where else f"{place}: {self.message}"]
        if 0 < self.line <= len(lines):
            line = lines[self.line - 1].rstrip()
            before = "".join(sign if sign == "\t" else " " for sign in line[: self.column - 1].ljust(self.column - 1))
            shown += [f"    {line}", f"    {before}^"]
        return "\n".join(_printable(line) for line in shown)


def _printable(line: str) -> str:
    """Return a line without the characters that a terminal would obey."""
    return "".join(sign if sign.isprintable() or sign == "\t" else "\N{REPLACEMENT CHARACTER}" for sign in line)


class ConfigError(InputError):
    """A configuration file has problems; `problems` holds them in the order of their places."""

    def __init__(self, file: str, problems: Sequence[Problem], text: str) -> None:
        self.file = file
        self.problems = tuple(sorted(set(problems)))
        lines = text.splitlines()
        count = f"\n\n{len(self.problems)} problems in {file}" if len(self.problems) > 1 else ""
        super().__init__("\n".join(problem.show(file, lines) for problem in self.problems) + count)
