"""`ragkit schema`: the JSON Schema of pipeline files and recipes, for editors."""

import json

import typer

from ragkit.cli.console import output


def schema(recipe: bool = typer.Option(False, "--recipe", help="Of recipes for `ragkit tune`.")) -> int:
    """Print the JSON Schema of a pipeline file; editors use it for completion and checking."""
    if recipe:
        from ragkit.tuning.schema import recipe_schema

        shown = recipe_schema()
    else:
        from ragkit.config.schema import pipeline_schema

        shown = pipeline_schema()
    output.print(json.dumps(shown, indent=2, ensure_ascii=False), markup=False, soft_wrap=True)
    return 0
