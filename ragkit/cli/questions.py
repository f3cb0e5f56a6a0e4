"""`ragkit questions`: held-out questions for a corpus that has none."""

from pathlib import Path

import typer
from rich.table import Table

from ragkit.cli.console import ProgressBars, errors, output


def questions(
    recipe: Path = typer.Argument(metavar="RECIPE", help="A tuning recipe whose builder is corpus_qa."),
    data: Path | None = typer.Option(None, help="The folder that holds a folder for each set."),
    overrides: list[str] = typer.Option([], "--set", metavar="PATH=VALUE", help="Change a setting of the recipe."),
) -> int:
    """Write questions about documents of the test part, for each set of a recipe whose questions file is missing."""
    from ragkit.tuning.held_out import write_held_out
    from ragkit.tuning.recipe import load_recipe

    loaded = load_recipe(recipe, overrides)
    try:
        with ProgressBars() as bars, loaded.pipeline:
            found = write_held_out(loaded, data, bars)
    except KeyboardInterrupt:
        errors.print("stopped; the same command goes on from the answered calls", markup=False)
        raise
    shown = Table("set", "questions asked for", "kept", "dropped", "file")
    for name, held_out in found.items():
        report = held_out.report
        if report is None:
            shown.add_row(name, "-", "-", "was there already", str(held_out.path))
        else:
            dropped = ", ".join(f"{reason}: {count}" for reason, count in report.dropped.items())
            shown.add_row(name, str(report.questions), str(report.kept), dropped, str(held_out.path))
    output.print(shown)
    return 0
