"""What `ragkit tune` is about to do: the recipe in short, the rows, and how long it will take."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from ragkit.cli.console import counted, errors, output
from ragkit.cli.training import duration

if TYPE_CHECKING:
    from ragkit.evaluation.split import Part
    from ragkit.models.base import Prompt
    from ragkit.tuning.recipe import Recipe
    from ragkit.tuning.rows import Row
    from ragkit.tuning.run import Prepared
    from ragkit.tuning.timing import Timing

_EXAMPLES, _LONGEST = 3, 2000


def show_recipe(recipe: "Recipe", questions: "Mapping[str, Mapping[Part, int]]") -> None:
    """Print what is tuned, how, and on which sets."""
    model, adapter, training = recipe.model, recipe.adapter, recipe.training
    weights = recipe.objective.weights
    start = f", going on from {adapter.start}" if adapter.start else ""
    kind = f"{adapter.type} of rank {adapter.r}" if adapter.type in ("lora", "qlora") else adapter.type
    length = f"{training.steps:,} steps" if training.steps else f"{training.epochs:g} epochs"
    lines = {
        "pipeline": f"{recipe.settings.pipeline}, its model '{recipe.settings.model}'",
        "base": f"{model.model} in {model.resolved_dtype} on {model.resolved_device}" if weights else "as it is",
        "objective": f"{recipe.data['objective']['type']}" + (f", {kind}{start}" if weights else ""),
        "data": ", ".join(
            [recipe.data["data"]["builder"], *(str(s["type"]) for s in recipe.data["data"].get("select") or ())]
        ),
        "training": f"{length} of {counted(training.batch_size, 'row')}, learning rate {training.learning_rate:g}",
        "gate": ", ".join([recipe.gate.metric, *(f"{name} within {by:g}" for name, by in recipe.gate.guards.items())]),
    }
    table = Table(title=Text(recipe.name), title_justify="left", box=None, show_header=False, pad_edge=False)
    for name, text in lines.items():
        table.add_row(name, Text(text))
    output.print(table)
    sets = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    sets.add_column("set", overflow="fold")
    for column in ("train", "validation", "test"):
        sets.add_column(column, justify="right", no_wrap=True)
    for name, parts in questions.items():
        sets.add_row(Text(name), *(f"{parts[part]:,}" for part in ("train", "validation", "test")))
    output.print(sets)


def show_rows(prepared: "Prepared") -> None:
    """Print how many rows there are and where they are from, and what was found wrong with them."""
    rows = counted(len(prepared.rows), "training row")
    output.print(f"{rows}, {counted(len(prepared.validation), 'validation row')}", style="bold")
    for key, counts in prepared.counts.items():
        output.print(f"  by {key}: {', '.join(f'{name} {count:,}' for name, count in counts.items())}", markup=False)
    for selector, reasons in prepared.selected.items():
        output.print(f"  {selector}: {', '.join(f'{why} {count:,}' for why, count in reasons.items())}", markup=False)
    for warning in prepared.warnings:
        errors.print(f"warning: {warning}", style="yellow", markup=False)


def show_examples(rows: "Sequence[Row]") -> None:
    """Print a few rows, of different kinds if there are several."""
    for row in _different(rows):
        origin = ", ".join(f"{name} {value}" for name, value in row.origin.items())
        output.print(f"example: {origin}", style="bold", markup=False)
        for title, text in _texts(row):
            output.print(f"{title}:", style="cyan", markup=False)
            output.print(text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …", markup=False)
        output.print()


def show_timing(timing: "Timing") -> None:
    """Print the estimate, and what it was made of."""
    tokens = f", {timing.tokens / timing.seconds:,.0f} tokens/s" if timing.tokens else ""
    total = f", {timing.tokens * timing.steps:,.0f} tokens in all" if timing.tokens else ""
    output.print(
        f"estimate: {timing.steps:,} steps in {duration(timing.seconds * timing.steps)}{total} "
        f"({timing.seconds:.2f} s a step{tokens}, measured over {counted(timing.measured, 'step')}; "
        "the runs of the gate come on top)",
        markup=False,
    )


def _different(rows: "Sequence[Row]") -> "Iterator[Row]":
    seen: set[str] = set()
    for row in rows:
        kind = str(row.origin.get("kind") or row.origin.get("set"))
        if kind not in seen and len(seen) < _EXAMPLES:
            seen.add(kind)
            yield row


def _texts(row: "Row") -> Iterator[tuple[str, str]]:
    """Yield what a row holds, each text with its title."""
    from ragkit.tuning.rows import PreferenceRow, PromptRow, RankingRow, SftRow

    if isinstance(row, (SftRow, PreferenceRow, PromptRow)):
        yield from _turns(row.prompt)
    if isinstance(row, SftRow):
        yield "completion", row.completion
    elif isinstance(row, PreferenceRow):
        yield from (("chosen", row.chosen), ("rejected", row.rejected))
    elif isinstance(row, PromptRow):
        yield from ((name, str(value)) for name, value in row.columns.items())
    elif isinstance(row, RankingRow):
        yield "query", row.query
        yield from (("positive", text) for text in row.positives)
        yield from (("negative", text) for text in row.negatives[:_EXAMPLES])


def _turns(prompt: "Prompt") -> Iterator[tuple[str, str]]:
    if isinstance(prompt, str):
        yield "prompt", prompt
    else:
        yield from ((turn["role"], turn["content"]) for turn in prompt)
