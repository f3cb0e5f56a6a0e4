"""`ragkit run`: a pipeline over a file of questions."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from ragkit.cli.again import BEFORE, to_go_on
from ragkit.cli.console import ProgressBars, counted, errors, output, shorten
from ragkit.cli.tables import show_funnel

if TYPE_CHECKING:
    from ragkit.evaluation.experiment import Experiment
    from ragkit.evaluation.summary import Summary


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
            kept = f"Everything answered so far is kept. To go on:\n  {to_go_on(folder[0])}" if folder else BEFORE
            errors.print(f"\nStopped. {kept}", markup=False)
            raise
    _show(experiment, loaded.name, time.perf_counter() - start)
    return 1 if experiment.failures else 0


def _show(experiment: "Experiment", name: str, seconds: float) -> None:
    from ragkit.evaluation.table import show_interval, show_value

    summary = experiment.summary
    table = Table(title=Text(name), title_justify="left")
    table.add_column("metric", overflow="fold")  # a long name gives way, a number never
    for column in ("value", "95 % interval", "n"):
        table.add_column(column, justify="right", no_wrap=True)
    for metric, figure in summary.overall.metrics.items():
        quality = metric in summary.quality
        interval = show_interval(figure.low, figure.high, quality)
        table.add_row(Text(metric), show_value(figure.value, quality), interval, f"{figure.n:,}")
    output.print(table)
    show_funnel(experiment.funnel)
    _show_judges(summary)
    _show_failures(experiment)
    for flag, count in summary.flags.items():
        output.print(f"{counted(count, 'question')} flagged {flag}", markup=False)
    calls, cached = experiment.calls
    share = f"; {cached / calls:.0%} of {counted(calls, 'call')} came from the cache" if calls else ""
    resumed = f" ({experiment.resumed} of them from an earlier start)" if experiment.resumed else ""
    output.print(f"{counted(len(experiment.rows), 'question')}{resumed} in {seconds:.1f} s{share}")
    output.print(f"report: {experiment.folder / 'report.html'}", soft_wrap=True, markup=False)


def _show_judges(summary: "Summary") -> None:
    """Print what could not be judged, and how far judges agree."""
    for name, figure in summary.overall.metrics.items():
        if figure.failures:
            text = f"{name}: {counted(figure.failures, 'question')} not measured, in no mean (why: judgements.jsonl)"
            output.print(text, style="yellow", markup=False)
    for judge, told in summary.judges.items():
        for pair in told["agreement"]:
            kappa = "not defined" if pair["kappa"] is None else f"{pair['kappa']:.2f}"
            interval = "" if pair["low"] is None else f" ({pair['low']:.2f} to {pair['high']:.2f})"
            same = "" if pair["same"] is None else f", the same grade for {pair['same']:.0%}"
            raters, judged = " and ".join(pair["raters"]), counted(pair["n"], "question")
            output.print(f"{judge}: {raters} agree with kappa {kappa}{interval} on {judged}{same}", markup=False)


def _show_failures(experiment: "Experiment") -> None:
    """Print why questions failed, each reason once."""
    if not experiment.failures:
        return
    output.print(
        f"[red]{len(experiment.failures)} of {counted(len(experiment.rows), 'question')} failed[/red] "
        "(counted as wrong):"
    )
    reasons: dict[str, list[str]] = {}
    for row in experiment.failures:
        if error := row["error"]:
            reasons.setdefault(f"{error['stage']}: {error['type']}: {error['message']}", []).append(row["id"])
    for reason, ids in list(reasons.items())[:_SHOWN]:
        more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
        output.print(f"  {', '.join(ids[:_SHOWN])}{more}: {shorten(reason, _LONGEST)}", markup=False)
    if len(reasons) > _SHOWN:
        output.print(f"  and {len(reasons) - _SHOWN} other reasons, in {experiment.folder / 'predictions.jsonl'}")


_SHOWN, _LONGEST = 8, 400
