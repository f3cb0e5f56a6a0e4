"""`ragkit index plan`: what an index of so many vectors costs, what fits this machine, and what it would find."""

from typing import TYPE_CHECKING

from rich.table import Table

from ragkit.cli.console import output, size_of
from ragkit.errors import InputError

if TYPE_CHECKING:
    from ragkit.index import LocalIndex
    from ragkit.index.dense.plan import PlanRow

SAMPLE = 20_000
"""Vectors of the index that recall is measured on."""


def show_plan(index: "LocalIndex", passages: int | None, dimension: int | None) -> None:
    """Print the plan for an index of some size: what is not given is that of the index that is built.

    Raises:
        InputError: nothing is built and numbers are missing, or the index has no vectors.
    """
    from ragkit.index.dense.plan import Machine, plan
    from ragkit.index.dense.sample import read_sample

    if index.dense is None:
        raise InputError("the index has no dense part: add 'dense' to 'index' to plan for its vectors")
    sample = None
    if passages is None or dimension is None:
        try:
            manifest = index.manifest()
        except InputError as error:
            raise InputError(f"{error}; or give --passages and --dimension") from None
        passages = manifest.passages if passages is None else passages
        if dimension is None:
            dimension = int(manifest.parts["dense"]["dimension"])
            sample = read_sample(index.part_folder("dense"), index.deleted(), SAMPLE)
    if sample is not None and len(sample) < 20:
        sample = None
    rows = plan(passages, dimension, sample, Machine.here(index.folder), index.dense.metric)
    output.print(_table(rows, passages, dimension))
    measured = "no recall: it is measured on the vectors of an index that is built and Flat, with 20 passages or more"
    if sample is not None:
        measured = f"recall@10 measured on {len(sample):,} of the index's vectors; with more it may be lower"
    output.print(f"{measured}. Sizes are those of the vectors, without the texts.", soft_wrap=True)


def _table(rows: "list[PlanRow]", passages: int, dimension: int) -> Table:
    table = Table(
        title=f"{passages:,} passages, {dimension} dimensions", title_justify="left", box=None, pad_edge=False,
        padding=(0, 1, 0, 0),
    )  # fmt: skip
    table.add_column("factory", no_wrap=True)
    for column in ("RAM", "to build", "VRAM", "disk", "recall"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("fits")
    for row in rows:
        search = "".join(f" {name}={value:g}" for name, value in row.search.items())
        precision = " in float16" if row.precision == "float16" else ""
        table.add_row(
            f"{row.factory}{precision}{search}",
            size_of(row.ram),
            size_of(row.build_ram),
            "-" if row.vram is None else size_of(row.vram),
            size_of(row.disk),
            "-" if row.recall is None else f"{row.recall:.3f}",
            _fits(row),
        )
    return table


def _fits(row: "PlanRow") -> str:
    names = {"ram": "RAM", "build_ram": "RAM to build", "vram": "VRAM", "disk": "disk", "vectors": "more vectors"}
    lacking = [names[name] for name, fits in row.fits.items() if fits is False]
    return f"[red]needs {', '.join(lacking)}[/red]" if lacking else "[green]yes[/green]"
