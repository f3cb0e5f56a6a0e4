"""Tables of several runs in the terminal."""

from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.table import Table as RichTable

from ragkit.cli.console import counted, output

if TYPE_CHECKING:
    from ragkit.evaluation.funnel import Funnel
    from ragkit.evaluation.table import Row, Table

LEVEL = 0.05
_LONGEST_REASONS = 3
_OF_THE_MACHINE = ("seconds", "cached_share")


def show_runs(table: "Table") -> None:
    """Print every metric of each run: value and difference to the baseline with intervals, p-value, calls."""
    from ragkit.evaluation.table import metric_names, show_interval, show_p, show_value

    runs = RichTable(title=table.title, title_justify="left")
    for name in ("run", "questions", "failed", "calls made", "known"):
        runs.add_column(name, justify="left" if name == "run" else "right")
    for row in table.rows:
        runs.add_row(
            escape(_heading(row)),
            f"{row.questions:,}",
            str(row.failures),
            f"{row.calls.made:,}",
            f"{row.calls.known:,}",
        )
    output.print(runs)
    for row in table.rows:
        shown = RichTable(title=escape(_heading(row)), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        shown.add_column("metric", overflow="fold")  # a long name gives way, a number never
        for name in ("value", "95 % interval", "difference", "95 % interval", "p (Holm)"):
            shown.add_column(name, justify="right", no_wrap=True)
        for name in metric_names([row]):
            quality, estimate = name in row.quality, row.metrics[name]
            cells = [show_value(estimate.value, quality), show_interval(estimate.low, estimate.high, quality)]
            if (change := row.differences.get(name)) is not None:
                paired = change.paired
                cells += [
                    show_value(paired.difference, quality, signed=True),
                    show_interval(paired.low, paired.high, quality),
                    show_p(change.p_holm),
                ]
            shown.add_row(name, *cells)
        output.print(shown)
    show_notes(table)


def _heading(row: "Row") -> str:
    return f"{row.group}: {row.name}" if row.group else row.name


def show_groups(table: "Table") -> None:
    """Print the values of each group of runs in a few columns; a star marks a difference with p below .05."""
    from ragkit.evaluation.table import by_group, metric_names, show_value

    for group, rows in by_group(table.rows).items():
        title = f"{group}, {rows[0].questions:,} questions"
        shown = RichTable(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        names = [name for name in metric_names(rows) if name not in _OF_THE_MACHINE]
        failed = any(row.failures for row in rows)
        shown.add_column("run", min_width=14)
        for name in (*(["failed"] if failed else []), *names, "made"):
            shown.add_column(name, justify="right", no_wrap=True)
        for row in rows:
            cells = [str(row.failures)] if failed else []
            for name in names:
                estimate, change = row.metrics.get(name), row.differences.get(name)
                star = "*" if change is not None and change.p_holm is not None and change.p_holm < LEVEL else " "
                value = estimate.value if estimate is not None else None
                cells.append(f"{show_value(value, name in row.quality)}{star if name in row.quality else ''}")
            shown.add_row(row.name, *cells, f"{row.calls.made:,}")
        output.print(shown)
    output.print("made: calls that the cache could not answer; * p below .05; the rest is in the table's file")
    show_notes(table)


def show_notes(table: "Table") -> None:
    """Print what a reader of the table must know."""
    for note in table.notes:
        output.print(f"- {note}", markup=False)


def show_funnel(funnel: "Funnel") -> None:
    """Print where gold evidence was lost, a line for each stage."""
    if not funnel.questions:
        return
    questions, pieces = counted(funnel.questions, "question"), counted(funnel.units, "piece")
    table = RichTable(title=f"funnel: {questions} with gold evidence, {pieces} of it", title_justify="left")
    for column in ("stage", "all of it", "some", "pieces", "lost here"):
        table.add_column(column, justify="left" if column in ("stage", "lost here") else "right")
    for stage in funnel.stages:
        lost = [f"{loss.units} {loss.reason}" for loss in stage.losses[:_LONGEST_REASONS]]
        if len(stage.losses) > _LONGEST_REASONS:
            lost.append(f"{sum(loss.units for loss in stage.losses[_LONGEST_REASONS:])} otherwise")
        if stage.kind == "answered":
            cells = [f"right by {funnel.metric}", f"{stage.all} of {stage.questions}", "", ""]
        else:
            cells = [stage.stage, str(stage.all), str(stage.some), str(stage.units)]
        table.add_row(*cells, "\n".join(lost))
    output.print(table)
