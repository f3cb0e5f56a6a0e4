"""`ragkit validate`: check a pipeline file without loading a model."""

from pathlib import Path

import typer

from ragkit.cli.console import output


def validate(
    pipeline: Path = typer.Argument(help="The pipeline's YAML file."),
    overrides: list[str] = typer.Option([], "--set", metavar="PATH=VALUE", help="Change a setting of the pipeline."),
) -> int:
    """Check a pipeline file: keys, types, names, and that every stage gets what it reads."""
    from ragkit.engine.controls import steps_of
    from ragkit.pipeline import Pipeline

    loaded = Pipeline.load(pipeline, overrides)
    steps = ", ".join(step.id for step in steps_of(loaded.nodes))
    output.print(f"{pipeline}: valid ({steps})", markup=False, soft_wrap=True)
    return 0
