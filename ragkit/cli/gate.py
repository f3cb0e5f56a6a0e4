"""The verdict of the gate in the terminal: before and after, what was lost, promoted or not and why."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from ragkit.cli.console import counted, output

if TYPE_CHECKING:
    from ragkit.tuning.changes import Change
    from ragkit.tuning.gate import GateResult


def show_gate(result: "GateResult") -> None:
    """Print the changes of each set, of all together, with oracles and of the forgetting probe, then the verdict."""
    for name, own in result.sets.items():
        failed = f", failed: {own.failures[0]} before, {own.failures[1]} after" if any(own.failures) else ""
        _show(f"{name}, {counted(own.questions, 'test question')}{failed}", own.changes)
    if len(result.sets) > 1:
        _show("all sets", result.pooled)
    for oracle, pooled in result.oracles.items():
        _show(f"all sets, {oracle} replaced by gold", pooled)
    if result.forgetting:
        _show("forgetting probe", result.forgetting)
    for line in result.lost:
        output.print(f"lost: {line}", style="yellow", markup=False)
    for note in result.notes:
        output.print(f"- {note}", markup=False)
    if result.promoted:
        output.print(f"promoted: {result.reasons[0]}", style="bold green", markup=False)
        return
    output.print("not promoted:", style="bold red")
    for reason in result.reasons:
        output.print(f"  {reason}", markup=False)


def _show(title: str, changes: "Mapping[str, Change]") -> None:
    from ragkit.evaluation.table import show_interval, show_p, show_value

    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("metric", overflow="fold")  # a long name gives way, a number never
    for column in ("n", "before", "after", "difference", "95 % interval", "p"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, change in changes.items():
        if not change.quality:
            continue
        table.add_row(
            Text(name),
            f"{change.n:,}",
            show_value(change.base.value, quality=True),
            show_value(change.tuned.value, quality=True),
            show_value(change.difference, quality=True, signed=True),
            show_interval(change.low, change.high, quality=True),
            show_p(change.p),
        )
    output.print(table)
