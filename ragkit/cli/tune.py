"""`ragkit tune`: a recipe, from the pipeline's own questions to an adapter that is better and proves it."""

import shlex
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import typer

from ragkit.cli.again import to_go_on
from ragkit.cli.console import ProgressBars, errors, output
from ragkit.cli.gate import show_gate
from ragkit.cli.training import TrainingLine
from ragkit.cli.tuning_parts import list_parts
from ragkit.cli.tuning_plan import show_examples, show_recipe, show_rows, show_timing
from ragkit.errors import InputError

if TYPE_CHECKING:
    from ragkit.tuning.job import TrainingStep
    from ragkit.tuning.recipe import Recipe
    from ragkit.tuning.run import Prepared


def tune(
    recipe: Path | None = typer.Argument(None, help="The recipe's YAML file."),
    data: Path | None = typer.Option(None, help="The folder that holds a folder for each set."),
    overrides: list[str] = typer.Option([], "--set", metavar="PATH=VALUE", help="Change a setting of the recipe."),
    out: Path | None = typer.Option(None, help="The folder of the tuning; by default tuned/<name of the recipe>."),
    resume: bool = typer.Option(False, "--resume", help="Go on with the tuning that the folder holds."),
    dry_run: bool = typer.Option(
        False, "--dry-run", help="Show the rows and how long it will take, and train nothing but a few steps for that."
    ),
    parts: bool = typer.Option(False, "--list", help="List what recipes are made of, with all settings."),
) -> int:
    """Tune a model of a pipeline; promote the result only if it is better on questions that it never saw."""
    if parts:
        list_parts()
        return 0
    if recipe is None:
        raise InputError("name a recipe; `ragkit tune --list` says what recipes are made of")
    from ragkit.tuning import run as tuning
    from ragkit.tuning.recipe import load_recipe
    from ragkit.tuning.sets import counts

    loaded = load_recipe(recipe, overrides)
    show_recipe(loaded, counts(loaded, data))
    if dry_run:
        return _plan(loaded, data)
    folder = out or Path("tuned") / loaded.name
    try:
        with _Progress() as progress:
            done = tuning.tune(
                loaded, folder, data=data, resume=resume, command=shlex.join(["ragkit", *sys.argv[1:]]),
                on_step=progress.step, on_progress=progress.long_step, on_run=progress.run,
                on_prepared=progress.prepared,
            )  # fmt: skip
    except KeyboardInterrupt:
        errors.print(f"\nStopped. What was done so far is kept. To go on:\n  {_to_resume(folder)}", markup=False)
        raise
    if done.gate is None:
        output.print(
            "no gate: this objective's result grades or guides other models; log.json has its validation figures"
        )
    else:
        show_gate(done.gate)
    result = folder / "adapter"
    if not loaded.objective.weights:
        output.print(f"result: {result}; gate: {folder / 'gate.json'}", soft_wrap=True, markup=False)
        changes = loaded.objective.serving(loaded.settings.model, "", result)
        output.print(f"in a pipeline:\n  {' '.join(f'--set {change}' for change in changes)}", markup=False)
        return 0 if done.gate is None or done.gate.promoted else 1
    setting = tuning.setting_of(loaded)
    shown = "" if done.gate is None else f"; gate: {folder / 'gate.json'}"
    output.print(f"result: {result}, with its card{shown}", soft_wrap=True, markup=False)
    output.print(f"in a pipeline, at the model '{loaded.settings.model}':\n  {setting}: {result}", markup=False)
    return 0 if done.gate is None or done.gate.promoted else 1


def _plan(recipe: "Recipe", data: Path | None) -> int:
    from ragkit.tuning.run import prepare
    from ragkit.tuning.timing import measure

    with tempfile.TemporaryDirectory(prefix="ragkit-plan-") as folder:
        with ProgressBars() as bars:
            prepared = prepare(recipe, Path(folder), data, bars)
        show_rows(prepared)
        show_examples(prepared.rows)
        if recipe.objective.weights:
            show_timing(measure(recipe, prepared.rows, prepared.sets))
    return 0


def _to_resume(folder: Path) -> str:
    command = to_go_on(folder)
    return command if "--resume" in sys.argv else f"{command} --resume"


class _Progress:
    """What is shown on the way: bars of long steps, or the line of the training; a terminal holds one at a time."""

    def __init__(self) -> None:
        self._shown: ProgressBars | TrainingLine | None = None

    def step(self, step: "TrainingStep") -> None:
        if not isinstance(self._shown, TrainingLine):
            self.end()
            self._shown = TrainingLine()
        self._shown(step)

    def long_step(self, name: str, done: int, total: int) -> None:
        if not isinstance(self._shown, ProgressBars):
            self.end()
            self._shown = ProgressBars()
        self._shown(name, done, total)

    def prepared(self, prepared: "Prepared") -> None:
        self.end()
        show_rows(prepared)

    def run(self, name: str) -> None:
        self.end()
        errors.print(f"== {name}", style="bold", markup=False)

    def end(self) -> None:
        if self._shown is not None:
            self._shown.__exit__(None, None, None)
            self._shown = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()
