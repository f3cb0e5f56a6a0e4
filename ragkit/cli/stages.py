"""`ragkit stages`: what a pipeline can be made of."""

import inspect
from typing import Any

import typer
from rich.table import Table

from ragkit.cli.console import output
from ragkit.errors import InputError, did_you_mean

app = typer.Typer(invoke_without_command=True, help="List the stages; `ragkit stages show NAME` for one of them.")


@app.callback()
def list_stages(context: typer.Context) -> None:
    """List the stages and control nodes."""
    if context.invoked_subcommand is not None:
        return
    from ragkit.engine import registry
    from ragkit.engine.controls import CONTROLS

    table = Table(box=None, pad_edge=False)
    for column in ("stage", "reads", "writes", "what it does"):
        table.add_column(column, no_wrap=column == "stage")
    for known in registry.stages:
        cls = registry.stages[known]
        table.add_row(known, ", ".join(cls.reads), ", ".join(cls.writes), _first_line(cls))
    for known, control in CONTROLS.items():
        table.add_row(known, "", "", _first_line(control))
    output.print(table)


@app.command()
def show(name: str = typer.Argument(help="The stage, e.g. answer.read.")) -> int:
    """Show one stage: what it does, reads, writes, and its settings."""
    from ragkit.engine import registry
    from ragkit.engine.controls import CONTROLS

    if name not in CONTROLS and name not in registry.stages:
        hint = did_you_mean(name, [*registry.stages, *CONTROLS])
        raise InputError(f"unknown stage '{name}'{hint} (`ragkit stages` lists them)")
    cls: Any = CONTROLS.get(name) or registry.stages[name]
    output.print(name, style="bold", markup=False)
    output.print(inspect.getdoc(cls) or "", markup=False)
    if name not in CONTROLS:
        needed = [f"{field}{'' if must else ' (if written)'}" for field, must in cls.reads.items()]
        output.print(f"\nreads   {', '.join(needed)}\nwrites  {', '.join(cls.writes)}", markup=False)
    if cls.model_fields:
        output.print()
        output.print(_settings(cls))
    for part in _parts(cls):
        output.print(f"\n{part.__name__}: {inspect.getdoc(part)}\n", markup=False)
        output.print(_settings(part))
    return 0


def _settings(cls: Any) -> Table:
    """Return the settings of a component, with type, default and meaning."""
    from ragkit.config.schema import type_name

    table = Table(box=None, pad_edge=False)
    for column in ("setting", "type", "default", "meaning"):
        table.add_column(column, no_wrap=column == "setting")
    for key, field in cls.model_fields.items():
        default = "required" if field.is_required() else repr(field.get_default(call_default_factory=True))
        table.add_row(field.alias or key, type_name(field.annotation), default, field.description or "")
    return table


def _parts(cls: Any) -> list[Any]:
    """Return the components that settings hold: mappings with settings of their own."""
    from ragkit.config.build import annotated_classes, item_annotation
    from ragkit.engine.calls import Resource
    from ragkit.engine.component import Component

    found: dict[str, Any] = {}
    for field in cls.model_fields.values():
        for kind in (*annotated_classes(field.annotation), *annotated_classes(item_annotation(field.annotation))):
            if issubclass(kind, Component) and kind.model_fields and not issubclass(kind, Resource):
                found[kind.__name__] = kind
    return list(found.values())


def _first_line(cls: Any) -> str:
    return (inspect.getdoc(cls) or "").partition("\n")[0]
