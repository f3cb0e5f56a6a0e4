"""`ragkit init`: a pipeline file to start from."""

from importlib.resources import files
from pathlib import Path

import typer

from ragkit.cli.console import output
from ragkit.errors import InputError


def init(
    path: Path = typer.Argument(Path("pipeline.yaml"), help="The file to write."),
    force: bool = typer.Option(False, "--force", help="Overwrite the file if it exists."),
) -> int:
    """Write a commented pipeline file to start from."""
    if path.exists() and not force:
        raise InputError(f"{path}: exists already; choose another name or pass --force")
    if not path.parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist")
    path.write_text(files("ragkit.cli").joinpath("starter.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    output.print(
        f"wrote {path}\nput your documents where 'index: documents' says, then:\n  ragkit ask {path} \"your question\""
    )
    return 0
