"""`ragkit tune --list`: what a recipe can be made of."""

import inspect
from typing import Any

from rich.table import Table

from ragkit.cli.console import output


def list_parts() -> None:
    """Print the builders, selectors, objectives and rewards, and the sections of a recipe, with their settings."""
    from ragkit.engine import registry
    from ragkit.tuning.gate import GateSettings
    from ragkit.tuning.job import AdapterSettings, TrainingSettings

    for known in (registry.builders, registry.selectors, registry.objectives, registry.rewards):
        for name in known:
            _show(f"{known.kind} {name}", known[name])
    for section, cls in (("adapter", AdapterSettings), ("training", TrainingSettings), ("gate", GateSettings)):
        _show(f"section {section}", cls)


def _show(title: str, part: Any) -> None:
    from ragkit.config.schema import type_name

    output.print(title, style="bold", markup=False)
    output.print(f"  {(inspect.getdoc(part) or '').partition(chr(10))[0]}", markup=False)
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1))
    for key, field in part.model_fields.items():
        default = "required" if field.is_required() else repr(field.get_default(call_default_factory=True))
        table.add_row("", field.alias or key, type_name(field.annotation), default, field.description or "")
    if table.rows:
        output.print(table)
