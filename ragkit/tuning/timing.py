"""How long a training will take: a few of its steps, measured on this machine."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ragkit.tuning.data import OpenSet
from ragkit.tuning.job import TrainingJob, TrainingStep
from ragkit.tuning.recipe import Recipe
from ragkit.tuning.rows import Row

_STEPS = 3
_NEVER = 1_000_000


@dataclass(frozen=True, slots=True)
class Timing:
    """What a step costs.

    Attributes:
        steps: of the whole training.
        measured: steps that were measured.
        seconds: of one step.
        tokens: of one step; 0 where nobody counts them.
    """

    steps: int
    measured: int
    seconds: float
    tokens: float


def steps_of_training(recipe: Recipe, rows: int) -> int:
    """Return how many steps a recipe makes with so many rows, none of them too long."""
    settings = recipe.training
    return settings.steps or max(1, round(settings.epochs * rows / settings.batch_size))


def measure(recipe: Recipe, rows: Sequence[Row], sets: Mapping[str, OpenSet] | None = None) -> Timing:
    """Train a few steps on rows from all over the data, and keep nothing but the time.

    Raises:
        RagkitError: as the training itself.
    """
    told: list[TrainingStep] = []
    wanted = _STEPS * recipe.training.batch_size
    sample = rows[:: max(1, len(rows) // wanted)][:wanted]
    settings = recipe.training.model_copy(update={"steps": _STEPS, "save_every": _NEVER, "watched": 0})
    with tempfile.TemporaryDirectory(prefix="ragkit-timing-") as folder:
        recipe.objective.train(
            TrainingJob(
                folder=Path(folder),
                model=recipe.model,
                rows=sample,
                validation=(),
                adapter=recipe.adapter,
                training=settings,
                resume=False,
                on_step=told.append,
                on_progress=lambda *_: None,
                sets=sets or {},
                name=recipe.settings.model,
            )
        )
    first = told[0]
    last = next(step for step in told if step.step == told[-1].step)
    # The first step also loads and warms up what the others find ready.
    steps, seconds, tokens = last.done, last.seconds, last.tokens
    if last.step > first.step:
        steps, seconds, tokens = steps - first.done, seconds - first.seconds, tokens - first.tokens
    return Timing(steps_of_training(recipe, len(rows)), steps, seconds / steps, tokens / steps)
