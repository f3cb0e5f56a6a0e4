"""`ragkit calibrate`: choose thresholds that depend on a model, on questions that are kept for it."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from ragkit.cli.console import ProgressBars, counted, output
from ragkit.errors import InputError

if TYPE_CHECKING:
    from ragkit.evaluation.memory_calibration import Calibration, Point

app = typer.Typer(
    help="Choose thresholds that depend on a model, on questions that are kept for it.", no_args_is_help=True
)


@app.callback()
def _group() -> None:
    """Keep `memory` a command of its own, though it is the only one."""


@app.command()
def memory(
    pipeline: Path = typer.Argument(help="The pipeline's YAML file, with memory.trigger and memory.store."),
    fill: str = typer.Option(..., metavar="QUESTIONS", help="Questions that fill the memory."),
    ask: str = typer.Option(..., metavar="QUESTIONS", help="Questions like them, asked at every threshold."),
    metric: str = typer.Option("hit", help="What is to be kept."),
    allowed: float = typer.Option(0.01, min=0, help="How much of the metric may be lost."),
    taus: str | None = typer.Option(None, metavar="T1,T2", help="The thresholds; .3 to .9 in steps of .05 by default."),
    out: Path = typer.Option(Path("memory-calibration.json"), help="The file for the curve and the chosen value."),
    overrides: list[str] = typer.Option([], "--set", metavar="PATH=VALUE", help="Change a setting of the pipeline."),
) -> int:
    """Choose `tau` of memory.trigger for the encoder in use; report on other questions than these."""
    from ragkit.engine.run_folder import replace_file
    from ragkit.evaluation.memory_calibration import TAUS, calibrate_memory
    from ragkit.pipeline import Pipeline

    thresholds = TAUS if taus is None else _numbers(taus)
    with Pipeline.load(pipeline, overrides) as loaded, ProgressBars() as bars:
        found = calibrate_memory(loaded, fill, ask, metric=metric, allowed=allowed, taus=thresholds, on_progress=bars)
    replace_file(out, found.to_json())
    _show(found)
    output.print(f"curve: {out}", markup=False, soft_wrap=True)
    return 0 if found.chosen is not None else 1


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--taus {text}: write numbers with commas between them") from None


def _show(found: "Calibration") -> None:
    table = Table(title=f"{counted(found.remembered, 'passage')} in memory, {found.asked['count']} questions asked")
    for name in ("tau", found.metric, "lost", "95 % interval", "searches", "passages from outside", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    _add(table, "no reuse", found.without)
    for point in found.curve:
        _add(table, f"{point.tau:g}" + (" *" if point.tau == found.chosen else ""), point)
    output.print(table)
    if found.chosen is None:
        output.print(f"no threshold loses at most {found.allowed:g} of {found.metric}", style="yellow", markup=False)
    else:
        output.print(f"chosen: --set memory.trigger.tau={found.chosen:g}", markup=False)


def _add(table: Table, name: str, point: "Point") -> None:
    low, high = point.loss_interval
    cells = (f"{point.value:.3f}", f"{point.loss:+.3f}", f"{low:+.3f} to {high:+.3f}", f"{point.searches:.2f}")
    table.add_row(name, *cells, f"{point.items:.2f}", f"{point.seconds:.2f}")
