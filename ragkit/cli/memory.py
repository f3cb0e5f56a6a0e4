"""`ragkit memory`: look into a memory that outlives runs, take it elsewhere, empty it."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from ragkit.cli.console import counted, output, size_of
from ragkit.engine.jsonl import dump_line
from ragkit.errors import InputError

if TYPE_CHECKING:
    from ragkit.memory import Item, Reservoir
    from ragkit.memory.store import ItemStore

app = typer.Typer(help="Look into a memory that outlives runs, take it elsewhere, empty it.", no_args_is_help=True)

_PIPELINE = typer.Argument(help="The pipeline's YAML file; its section 'memory' names the folder.")
_SET = typer.Option([], "--set", metavar="PATH=VALUE", help="Change a setting of the pipeline.")
_AT_ONCE = 1_000


@app.command()
def info(pipeline: Path = _PIPELINE, overrides: list[str] = _SET) -> int:
    """Show what the memory holds, and whether these settings can use it."""
    reservoir = _reservoir(pipeline, overrides)
    store = _stored(reservoir)
    facts = store.facts
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("folder", str(store.folder))
    deleted = facts.positions - facts.items
    table.add_row("passages", f"{facts.items:,}" + (f", {deleted:,} deleted still in the files" if deleted else ""))
    table.add_row("size", size_of(sum(path.stat().st_size for path in store.folder.iterdir())))
    table.add_row("dimension", f"{facts.dimension:,}" if facts.dimension else "none yet")
    for name, value in facts.settings.items():
        table.add_row(name, json.dumps(value, ensure_ascii=False))
    if times := store.times():
        table.add_row("stored", " to ".join(time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(t)) for t in times))
    table.add_row("state", facts.state or "as new")
    output.print(table)
    store.close()
    try:
        reservoir.store.close()
    except InputError as error:
        output.print(str(error), style="yellow", markup=False, soft_wrap=True)
    return 0


@app.command()
def export(
    pipeline: Path = _PIPELINE,
    out: Path | None = typer.Option(None, help="The file to write; standard output by default."),
    overrides: list[str] = _SET,
) -> int:
    """Write all passages as JSONL, in the order in which they were stored; `ragkit memory import` reads them."""
    store = _stored(_reservoir(pipeline, overrides))
    lines = (dump_line(item.to_row()) for item in store.items())
    if out is None:
        for line in lines:
            typer.echo(line, nl=False)
    else:
        with out.open("wb") as file:
            file.writelines(lines)
        output.print(f"{counted(len(store), 'passage')} in {out}", markup=False, soft_wrap=True)
    store.close()
    return 0


@app.command("import")
def import_(
    pipeline: Path = _PIPELINE,
    file: Path = typer.Argument(help="JSONL that `ragkit memory export` wrote."),
    overrides: list[str] = _SET,
) -> int:
    """Add passages from an export; their titles are embedded anew, so the encoder may be another one."""
    reservoir = _reservoir(pipeline, overrides)
    done = 0
    for items in _batches(file):
        asyncio.run(reservoir.remember_items(items))
        done += len(items)
    output.print(f"{counted(done, 'passage')} read, {reservoir.count:,} in memory", markup=False)
    reservoir.close()
    return 0


@app.command()
def clear(
    pipeline: Path = _PIPELINE,
    ids: list[str] = typer.Option([], "--id", metavar="ID", help="Forget this passage only; may be given often."),
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    overrides: list[str] = _SET,
) -> int:
    """Forget everything, or some passages by their ids."""
    from ragkit.memory.items import key_of

    store = _stored(_reservoir(pipeline, overrides))
    if ids:
        gone = store.forget([key_of(name) for name in ids])
    else:
        if not yes:
            typer.confirm(f"Forget all {counted(len(store), 'passage')} in {store.folder}?", abort=True)
        gone = len(store)
        store.clear()
    output.print(f"{counted(gone, 'passage')} forgotten, {len(store):,} left", markup=False)
    store.close()
    return 0


def _reservoir(pipeline: Path, overrides: list[str]) -> "Reservoir":
    from ragkit.memory import Reservoir
    from ragkit.pipeline import Pipeline

    memory = Pipeline.load(pipeline, overrides).memory
    if memory is None:
        raise InputError(f"{pipeline}: the file has no section 'memory'")
    if not isinstance(memory, Reservoir):
        raise InputError(f"{pipeline}: the memory is a {type(memory).__name__}, which ragkit does not keep")
    if memory.path is None:
        raise InputError(f"{pipeline}: the memory is gone after each run; name a folder, 'memory: {{path: ...}}'")
    return memory


def _stored(reservoir: "Reservoir") -> "ItemStore":
    """Return what is kept, whatever it was made with."""
    from ragkit.memory.store import ItemStore

    assert reservoir.path is not None  # noqa: S101 - checked by _reservoir
    return ItemStore(reservoir.path, None)


def _batches(file: Path) -> Iterator[list["Item"]]:
    from ragkit.memory import Item

    items: list[Item] = []
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                items.append(Item.from_row(json.loads(line)))
            except ValueError as error:
                raise InputError(f"{file}:{number}: {error}") from None
            if len(items) == _AT_ONCE:
                yield items
                items = []
    yield items
