"""`ragkit run`: a pipeline over a file of questions."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from ragkit.cli.again import to_go_on
from ragkit.cli.console import ProgressBars, errors, output
from ragkit.cli.tables import show_funnel

if TYPE_CHECKING:
    from ragkit.evaluation.experiment import Experiment
    from ragkit.evaluation.summary import Estimate


def run(
    pipeline: Path = typer.Argument(help="The pipeline's YAML file."),
    questions: str | None = typer.Option(None, help="Where the questions are, instead of the pipeline's own."),
    limit: int | None = typer.Option(None, min=1, help="Only the first so many questions."),
    overrides: list[str] = typer.Option([], "--set", metavar="PATH=VALUE", help="Change a setting of the pipeline."),
    out: Path | None = typer.Option(None, help="The run's folder; one that holds an unfinished run is completed."),
) -> int:
    """Answer a file of questions, score the answers, and write a report."""
    from ragkit.pipeline import Pipeline

    start = time.perf_counter()
    folder: list[Path] = []
    with Pipeline.load(pipeline, overrides) as loaded:
        try:
            with ProgressBars() as bars:
                experiment = loaded.run(questions, out=out, limit=limit, on_progress=bars, on_folder=folder.append)
        except KeyboardInterrupt:
            if folder:
                errors.print(f"\nStopped. Everything answered so far is kept. To go on:\n  {to_go_on(folder[0])}")
            raise
    _show(experiment, loaded.name, time.perf_counter() - start)
    return 1 if experiment.failures else 0


def _show(experiment: "Experiment", name: str, seconds: float) -> None:
    summary = experiment.summary
    table = Table(title=name, title_justify="left")
    for column in ("metric", "value", "95 % interval", "n"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for metric, estimate in summary.overall.metrics.items():
        table.add_row(metric, *_cells(estimate, metric in summary.quality))
    output.print(table)
    show_funnel(experiment.funnel)
    if experiment.failures:
        output.print(
            f"[red]{len(experiment.failures)} of {len(experiment.rows)} questions failed[/red] (they count as wrong):"
        )
        for row in experiment.failures[:10]:
            if error := row["error"]:
                output.print(f"  {row['id']}: {error['stage']}: {error['type']}: {error['message']}", markup=False)
        if len(experiment.failures) > 10:
            output.print(f"  and {len(experiment.failures) - 10} more, in {experiment.folder / 'predictions.jsonl'}")
    for flag, count in summary.flags.items():
        output.print(f"{count} questions flagged {flag}", markup=False)
    calls, cached = experiment.calls
    share = f"; {cached / calls:.0%} of {calls:,} calls came from the cache" if calls else ""
    resumed = f" ({experiment.resumed} of them from an earlier start)" if experiment.resumed else ""
    output.print(f"{len(experiment.rows)} questions{resumed} in {seconds:.1f} s{share}")
    output.print(f"report: {experiment.folder / 'report.html'}", soft_wrap=True, markup=False)


def _cells(estimate: "Estimate", quality: bool) -> tuple[str, str, str]:
    def show(value: float | None) -> str:
        return (
            "-" if value is None else f"{value:.3f}" if quality else f"{value:,.2f}" if value < 10 else f"{value:,.1f}"
        )

    interval = "-" if estimate.low is None else f"{show(estimate.low)} to {show(estimate.high)}"
    return show(estimate.value), interval, str(estimate.n)
