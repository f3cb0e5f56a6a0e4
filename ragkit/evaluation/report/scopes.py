"""Which passages a stage had before it, found from the paths of a trace (`loop[2]/each[1]/retrieve.dense`)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

# A loop and a branch work on the state itself; the runs of `each` and the branches of `parallel` on copies.
_SAME_STATE = re.compile(r"loop\[\d+\]|then|else")
_INNERMOST_ROUND = re.compile(r"(.*/)?loop\[\d+\](?=/)")

Entry = Mapping[str, Any]
"""A passage as the trace keeps it: id, score, hits."""


def stage_name(path: str) -> str:
    """Return the stage's own id, the last part of its path."""
    return path.rpartition("/")[2]


def family(path: str) -> str:
    """Return the first part of the stage's name, `retrieve` of `loop[2]/retrieve.dense`."""
    return stage_name(path).partition(".")[0]


def every_turn(path: str) -> str:
    """Return the path without the numbers of rounds and runs: the stage's place in the pipeline."""
    return re.sub(r"\[\d+\]", "", path)


def round_of(path: str) -> str | None:
    """Return the path of the innermost round of a loop that a stage ran in, `loop[2]`; None outside loops."""
    found = _INNERMOST_ROUND.match(path)
    return found.group() if found else None


class Rankings:
    """The ranking that each state held last, as a question's stages write them one after the other."""

    def __init__(self) -> None:
        self._written: list[tuple[str, Sequence[Entry]]] = []

    def write(self, path: str, ranking: Sequence[Entry]) -> None:
        """Note what a stage wrote."""
        self._written.append((_state(path), ranking))

    def before(self, path: str) -> list[Entry]:
        """Return the passages that the stage at a path found in its state.

        After `each` or `parallel`, those are the passages of all copies that were made of the state.
        """
        own = _state(path)
        gathered: dict[str, Entry] = {}
        for scope, ranking in reversed(self._written):
            if scope == own or own.startswith(f"{scope}/") or scope == "":
                return [*gathered.values()] or [*ranking]
            if own == "" or scope.startswith(f"{own}/"):
                gathered = {entry["id"]: entry for entry in ranking} | gathered
        return [*gathered.values()]


def _state(path: str) -> str:
    return "/".join(part for part in path.split("/")[:-1] if not _SAME_STATE.fullmatch(part))
