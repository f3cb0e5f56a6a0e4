"""`ragkit eval`: a pipeline with variants of it, or a suite of pipelines and question sets."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ragkit.cli.again import BEFORE, to_go_on
from ragkit.cli.console import ProgressBars, errors, output
from ragkit.cli.tables import show_funnel, show_groups, show_runs
from ragkit.errors import InputError

if TYPE_CHECKING:
    from ragkit.evaluation.table import Table


def evaluate(
    target: Path = typer.Argument(metavar="FILE", help="The YAML file of a pipeline, or of a suite."),
    questions: str | None = typer.Option(None, help="Where the questions are, instead of the pipeline's own."),
    limit: int | None = typer.Option(None, min=1, help="Only the first so many questions (of each set)."),
    overrides: list[str] = typer.Option([], "--set", metavar="PATH=VALUE", help="Change a setting of the pipelines."),
    oracle: list[str] = typer.Option(
        [],
        metavar="STAGE",
        help="Also run with a stage replaced by gold: retrieve, rerank, filter, read, retrieve+read.",
    ),
    ablate: bool = typer.Option(False, "--ablate", help="Also run without each stage in turn."),
    sweep: list[str] = typer.Option([], metavar="PATH=V1,V2", help="Also run with other values; several make a grid."),
    select: str | None = typer.Option(None, metavar="METRIC", help="Choose one point of the sweep by this metric ..."),
    validation: str | None = typer.Option(
        None,
        metavar="SHARE|FILE",
        help="... on this share of the questions, or on those of a file; report on the rest.",
    ),
    data: Path | None = typer.Option(None, help="Of a suite: the folder that holds a folder for each set."),
    sets: list[str] = typer.Option([], "--only", metavar="SET", help="Of a suite: only this set."),
    out: Path | None = typer.Option(None, help="The folder of the runs; one that holds unfinished runs is completed."),
) -> int:
    """Evaluate a pipeline and variants of it, or a suite; write one table as JSON and Markdown."""
    from ragkit.evaluation.suite import is_suite, load_suite, run_suite
    from ragkit.evaluation.variants import FULL, Plan, evaluate
    from ragkit.pipeline import Pipeline

    suite = is_suite(target)
    _refuse_mixtures(
        suite,
        of_pipelines={
            "--questions": questions, "--oracle": oracle, "--ablate": ablate, "--sweep": sweep, "--select": select,
            "--validation": validation,
        },
        of_suites={"--data": data, "--only": sets},
    )  # fmt: skip
    name = load_suite(target).settings.name if suite else Pipeline.load(target, overrides).name
    folder = out or _new_folder(name)

    def announce(run: str) -> None:
        errors.print(f"== {run}", style="bold", markup=False)

    try:
        with ProgressBars() as bars:
            if suite:
                table = run_suite(
                    target, folder, data=data, limit=limit, sets=sets, overrides=overrides, on_progress=bars,
                    on_pair=announce,
                )  # fmt: skip
            else:
                plan = Plan(target, overrides, questions, limit, oracle, ablate, sweep, select, validation)
                table = evaluate(plan, folder, on_progress=bars, on_variant=announce)
    except KeyboardInterrupt:
        kept = f"Everything answered so far is kept. To go on:\n  {to_go_on(folder)}" if folder.exists() else BEFORE
        errors.print(f"\nStopped. {kept}", markup=False)
        raise
    _write(table, folder)
    if suite:
        show_groups(table)
    else:
        show_funnel(next(row for row in table.rows if row.name == FULL).funnel)
        show_runs(table)
    output.print(f"table: {folder / 'eval.md'}, {folder / 'eval.json'}", soft_wrap=True, markup=False)
    return 1 if any(row.failures for row in table.rows) else 0


def _refuse_mixtures(suite: bool, of_pipelines: dict[str, object], of_suites: dict[str, object]) -> None:
    wrong = [name for name, value in (of_pipelines if suite else of_suites).items() if value]
    if wrong:
        kind, other = ("a suite", "a pipeline") if suite else ("a pipeline", "a suite")
        raise InputError(f"the file is {kind}; {', '.join(wrong)} is for {other}")


def _new_folder(name: str) -> Path:
    """Return the name of a folder that does not exist yet, named by the time."""
    stamp = datetime.now(UTC).astimezone().strftime("%Y-%m-%d_%H-%M-%S")
    folder = Path("runs") / name / f"eval-{stamp}"
    number = 1
    while folder.exists():  # another one began in this second
        number += 1
        folder = Path("runs") / name / f"eval-{stamp}_{number}"
    return folder


def _write(table: "Table", folder: Path) -> None:
    from ragkit.engine.run_folder import replace_file

    replace_file(folder / "eval.json", table.to_json())
    replace_file(folder / "eval.md", table.to_markdown())
