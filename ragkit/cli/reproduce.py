"""`ragkit reproduce`: repeat a run from its folder and say where it comes out differently."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ragkit.cli.again import to_go_on
from ragkit.cli.console import ProgressBars, counted, errors, output

if TYPE_CHECKING:
    from ragkit.evaluation.reproduce import Changed

_LONGEST = 300


def reproduce(
    run: Path = typer.Argument(help="The folder of a finished run."),
    out: Path | None = typer.Option(None, help="The folder of the repetition; by default a new one inside the run's."),
    cache: bool = typer.Option(True, help="Use answers that are kept; --no-cache computes everything anew."),
) -> int:
    """Repeat a run with the settings and questions that it kept; exit with 1 if a prediction differs."""
    from ragkit.evaluation.reproduce import reproduce

    folder = out or run / "again" / datetime.now(UTC).astimezone().strftime("%Y-%m-%d_%H-%M-%S")

    def show_change(changed: "Changed") -> None:
        then, now = _shown(changed.then), _shown(changed.now)
        errors.print(f"differs: {changed.name}: {then} then, {now} now", style="yellow", markup=False, soft_wrap=True)

    try:
        with ProgressBars() as bars:
            found = reproduce(run, folder, cache=cache, on_progress=bars, on_changed=show_change)
    except KeyboardInterrupt:
        if folder.exists():
            errors.print(f"\nStopped. Everything answered so far is kept. To go on:\n  {to_go_on(folder)}")
        raise
    if not found.changed:
        output.print("settings, models, prompts, data and versions are those of the run")
    divergence = found.divergence
    if divergence is None:
        output.print("every prediction is identical", style="green")
        return 0
    output.print(f"{divergence.questions} of {counted(found.questions, 'question')} came out differently", style="red")
    output.print(f"first divergence: question {divergence.question}, stage {divergence.stage}", markup=False)
    output.print(f"  {divergence.field}", markup=False)
    output.print(f"    then  {_shown(divergence.then)}", markup=False, soft_wrap=True)
    output.print(f"    now   {_shown(divergence.now)}", markup=False, soft_wrap=True)
    output.print(f"repetition: {folder}", markup=False, soft_wrap=True)
    return 1


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
