"""`ragkit compare`: is the difference between runs more than chance, and what does it cost."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from ragkit.cli.console import counted, errors, output

if TYPE_CHECKING:
    from ragkit.evaluation.compare import Compared, Comparison

_SHOWN = 10


def compare(
    runs: list[Path] = typer.Argument(
        metavar="RUN RUN ...", help="Folders of finished runs; the first is the baseline."
    ),
    out: Path = typer.Option(Path("compare.json"), help="Where the comparison is written, with all won and lost ids."),
) -> int:
    """Compare runs question by question: paired tests, won and lost questions, quality against cost."""
    from ragkit.engine.run_folder import replace_file
    from ragkit.evaluation.compare import compare_runs
    from ragkit.evaluation.report import write_comparison

    comparison = compare_runs(runs)
    for run, missing in comparison.left_out.items():
        if missing:
            errors.print(
                f"{run}: left out {counted(missing, 'question')} that not all runs have", style="yellow", markup=False
            )
    for compared in comparison.runs:
        if compared.failures:
            text = f"{compared.run}: {counted(compared.failures, 'question')} failed (counted as wrong)"
            errors.print(text, style="yellow", markup=False)
        if alone := sorted(compared.metrics.keys() - _of_all(comparison)):
            errors.print(f"{compared.run}: not measured in all runs: {', '.join(alone)}", style="yellow", markup=False)
    _show(comparison)
    out.parent.mkdir(parents=True, exist_ok=True)
    replace_file(out, comparison.to_json())
    page = out.with_suffix(".html")
    write_comparison(page, asdict(comparison))
    output.print(f"comparison: {out}, {page}", soft_wrap=True, markup=False)
    return 0


def _of_all(comparison: "Comparison") -> set[str]:
    """Return the metrics that all runs have."""
    return set.intersection(*(set(run.metrics) for run in comparison.runs))


def _show(comparison: "Comparison") -> None:
    baseline, *others = comparison.runs
    output.print(f"baseline: {baseline.run}, {counted(comparison.questions, 'question')}", style="bold", markup=False)
    for other in others:
        table = Table(title=Text(other.run), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("metric", overflow="fold")  # a long name gives way, a number never
        for column in ("base", "run", "difference", "95 % interval", "p (Holm)", "won/lost"):
            table.add_column(column, justify="right", no_wrap=True)
        for name, change in other.differences.items():
            paired = change.paired
            table.add_row(
                Text(name),
                _number(baseline.metrics[name].value),
                _number(other.metrics[name].value),
                _number(paired.difference),
                "-" if paired.low is None else f"{_number(paired.low)} to {_number(paired.high)}",
                _p(change.p_holm),
                f"{paired.wins}/{paired.losses}" if name in other.won else "",
            )
        output.print(table)
        _show_ids(other)
    _show_pareto(comparison)


def _show_ids(run: "Compared") -> None:
    for name in list(run.won)[:1]:
        for word, ids in (("better", run.won[name]), ("worse", run.lost[name])):
            if ids:
                more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
                output.print(f"{word} by {name}: {', '.join(ids[:_SHOWN])}{more}", markup=False, soft_wrap=True)


def _show_pareto(comparison: "Comparison") -> None:
    shown = [pareto for pareto in comparison.pareto if pareto.quality == comparison.pareto[0].quality]
    for pareto in shown:
        table = Table(title=f"{pareto.quality} against {pareto.cost}", title_justify="left")
        table.add_column("run", overflow="fold")
        for column in (pareto.quality, "95 % interval", pareto.cost, "on the front"):
            table.add_column(column, justify="right", no_wrap=True)
        for point in sorted(pareto.points, key=lambda point: point.cost):
            interval = f"{_number(point.quality_low)} to {_number(point.quality_high)}"
            front = "yes" if point.on_front else ""
            table.add_row(Text(point.run), _number(point.quality), interval, _number(point.cost), front)
        output.print(table)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    small = 0 < abs(value) < 0.0005
    return f"{value:.1g}" if small else f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"


def _p(value: float | None) -> str:
    return "-" if value is None else "< .001" if value < 0.001 else f"{value:.3f}"
