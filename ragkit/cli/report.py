"""`ragkit report`: write a finished run's report again."""

from pathlib import Path

import typer

from ragkit.cli.console import output


def report(
    run: Path = typer.Argument(help="The run's folder."),
    pages: bool = typer.Option(False, "--pages", help="Show pictures of the cited PDF pages (a larger file)."),
) -> int:
    """Write the report of a finished run again, as one HTML file."""
    from ragkit.evaluation.report import write_report
    from ragkit.evaluation.report.finished import read_reported_run
    from ragkit.evaluation.report.pictures import pictures_of

    read = read_reported_run(run)
    path = run / "report.html"
    pictures = pictures_of(read.lock, read.rows) if pages else None
    write_report(path, read.title, read.summary, read.questions, read.rows, read.lock, run=run, pictures=pictures)
    output.print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)", soft_wrap=True, markup=False)
    return 0
