"""`ragkit ask`: one question, its answer, and where that is written."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ragkit.cli.console import ProgressBars, output, shorten
from ragkit.cli.where import WHERE_HELP, parse_where

if TYPE_CHECKING:
    from ragkit.engine.run import Prediction
    from ragkit.engine.state import Citation


def ask(
    pipeline: Path = typer.Argument(help="The pipeline's YAML file."),
    question: str = typer.Argument(help="The question."),
    overrides: list[str] = typer.Option([], "--set", metavar="PATH=VALUE", help="Change a setting of the pipeline."),
    where: list[str] = typer.Option([], "--where", metavar="TEST", help=WHERE_HELP),
    explain: bool = typer.Option(False, "--explain", help="Show what every stage did."),
) -> int:
    """Answer one question, with citations."""
    from ragkit.engine.run import Asked
    from ragkit.pipeline import Pipeline

    condition = parse_where(where)
    asked = Asked("question", question, {} if condition is None else {"where": condition.data()})
    with Pipeline.load(pipeline, overrides) as loaded, ProgressBars() as bars:
        (prediction,) = loaded.predict([asked], on_progress=bars)
    if explain:
        _explain(prediction)
    if prediction.error is not None:
        error = prediction.error
        output.print(f"failed in {error['stage']}: {error['type']}: {error['message']}", style="red", markup=False)
        return 1
    for flag in prediction.flags:
        output.print(f"ended early: {flag}", style="yellow", markup=False)
    if prediction.answer is None:
        wrote = any("answer" in event.wrote for event in (prediction.trace.events if prediction.trace else ()))
        reason = "the passages do not hold one" if wrote else "no stage came to write one"
        output.print(f"No answer: {reason}.", style="yellow")
    else:
        output.print(prediction.answer, style="bold", markup=False)
    texts = {passage.id: passage for passage in prediction.documents}
    for number, citation in enumerate(prediction.citations, 1):
        output.print(f"  [{number}] {_place(citation)}", markup=False)
        if citation.passage in texts:
            output.print(f"      {shorten(texts[citation.passage].page_content, 300)}", style="dim", markup=False)
    return 0


def _explain(prediction: "Prediction") -> None:
    events = prediction.trace.events if prediction.trace else []
    for event in events:
        output.print(f"{event.stage}  ({event.seconds:.3f} s)", style="bold cyan", markup=False)
        for field, value in event.wrote.items():
            for line in _lines(field, value):
                output.print(f"  {line}", markup=False)
        if event.error:
            output.print(f"  {event.error}", style="red", markup=False)
    usage = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in prediction.usage.as_dict().items())
    output.print(f"used: {usage}\n", style="dim", markup=False)


def _place(citation: "Citation") -> str:
    return f"{citation.source}, page {citation.page}" if citation.page else citation.source


def _lines(field: str, value: Any) -> list[str]:
    """Return what a stage wrote as lines: passages with score and origin, citations by place, else shortened."""
    from ragkit.engine.state import Citation, Passage

    if isinstance(value, (list, tuple)) and value and isinstance(value[0], Passage):
        lines = [f"{field}: {len(value)} passages"]
        for passage in value:
            score = "" if passage.score is None else f"{passage.score:.4f}  "
            found = ", ".join(f"{hit.stage} #{hit.rank}" for hit in passage.hits)
            lines.append(f"  {score}{passage.id}  ({found})  {shorten(passage.page_content, 90)}")
        return lines
    if isinstance(value, tuple) and value and isinstance(value[0], Citation):
        return [f"{field}: {'; '.join(_place(citation) for citation in value)}"]
    return [f"{field}: {shorten(str(value), 500)}"]
