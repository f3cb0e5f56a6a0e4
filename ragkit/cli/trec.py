"""`ragkit trec`: a run's rankings and gold in the formats of TREC, for trec_eval and other tools."""

from pathlib import Path

import typer

from ragkit.cli.console import output


def trec(
    run: Path = typer.Argument(help="The folder of a finished run."),
    out: Path | None = typer.Option(None, help="Where the files go; by default into the run's folder."),
) -> int:
    """Write a run's final rankings as a TREC run, and the gold of its questions as qrels."""
    from ragkit.evaluation.datasets import write_qrels, write_run_file
    from ragkit.evaluation.records import read_predictions, read_run

    finished = read_run(run)
    rows = read_predictions(run, finished.questions)
    folder = out or run
    folder.mkdir(parents=True, exist_ok=True)
    write_qrels(folder / "qrels.trec", finished.questions)
    write_run_file(folder / "rankings.trec", finished.questions, rows, tag=str(finished.lock["name"]).replace(" ", "_"))
    output.print(f"written: {folder / 'rankings.trec'}, {folder / 'qrels.trec'}", soft_wrap=True, markup=False)
    return 0
