"""A training job: what an objective gets."""

import json
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from ragkit.engine.calls import Category, OnProgress
from ragkit.engine.component import Component
from ragkit.models.local_weights import LocalWeights
from ragkit.tuning.data import OpenSet
from ragkit.tuning.rows import Row


class AdapterSettings(Component):
    """What is trained: a LoRA beside frozen weights by default."""

    type: Literal["lora", "full", "qlora", "prompt_tuning"] = Field(
        "lora", description="lora | full (all weights) | qlora (lora over 4-bit weights, needs CUDA) | prompt_tuning"
    )
    r: int = Field(16, ge=1, description="rank of a LoRA")
    alpha: float | None = Field(None, gt=0, description="scale of a LoRA times its rank; by default twice the rank")
    targets: str | tuple[str, ...] = Field("all-linear", description="modules that a LoRA stands beside")
    tokens: int = Field(20, ge=1, description="length of a soft prompt")
    start: str | None = Field(None, description="adapter to go on from: a folder or embedded:<name>")


class TrainingSettings(Component):
    """How long and how fast."""

    steps: int | None = Field(None, ge=1, description="optimiser steps; by default `epochs` decides")
    epochs: float = Field(1.0, gt=0, description="passes over the rows, if `steps` is not given")
    batch_size: int = Field(8, ge=1, description="rows of an optimiser step")
    micro_batch: int | None = Field(None, ge=1, description="rows of one pass; by default the whole batch")
    learning_rate: float = Field(5e-4, gt=0, description="the highest learning rate")
    schedule: Literal["linear", "cosine", "constant"] = Field("cosine", description="how it falls")
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the steps in which it rises")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's")
    max_length: int = Field(1024, ge=8, description="tokens of a row; longer rows are left out and counted")
    save_every: int = Field(50, ge=1, description="steps between checkpoints")
    watched: int = Field(64, ge=0, description="validation rows whose loss is watched at each checkpoint")
    seed: int = Field(0, ge=0, description="of everything random")


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """How far a training is: told after each optimiser step that is logged.

    Attributes:
        metrics: what the trainer logged: `loss`, `learning_rate`, `reward`, `rewards/margins` ...
        tokens: tokens seen since this start of the training; 0 where nobody counts them.
        seconds: since this start of the training.
        done: steps since this start of the training.
    """

    step: int
    steps: int
    metrics: dict[str, float]
    tokens: int
    seconds: float
    done: int


OnStep = Callable[[TrainingStep], None]


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """What an objective trains on, with what settings, and where the result goes.

    Attributes:
        folder: the training's own; the result goes to `adapter/` in it, checkpoints to `checkpoints/`.
        model: the pipeline's model, whose weights are trained.
        rows: training rows, of the objective's kind.
        validation: rows of the validation part, for a loss that is watched; may be empty.
        resume: go on from the last checkpoint.
        on_step: told of the progress of the training.
        on_progress: told of everything else that takes long.
        sets: open the recipe's sets with the pipeline, for objectives that run it while they train.
        name: what the model is called in that pipeline.
    """

    folder: Path
    model: LocalWeights
    rows: Sequence[Row]
    validation: Sequence[Row]
    adapter: AdapterSettings
    training: TrainingSettings
    resume: bool
    on_step: OnStep
    on_progress: OnProgress
    sets: Mapping[str, OpenSet] = field(default_factory=dict)
    name: str = ""

    @property
    def result(self) -> Path:
        """The folder of the trained adapter, or of the whole model."""
        return self.folder / "adapter"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.folder / "checkpoints"


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training did.

    Attributes:
        steps: optimiser steps.
        figures: what is worth keeping of it: last loss, trained parameters, rows left out and why ...
    """

    steps: int
    figures: dict[str, Any]


class Objective(Component):
    """What is optimised. Subclasses are registered in `ragkit.engine.registry.objectives` and found by entry points.

    Attributes:
        rows: the kind of rows that it trains on.
        trains: the kind of model that it trains.
        weights: whether it changes weights, which have to be on this machine then.
        gated: whether the result takes the model's place in the pipeline, so that the gate can judge it there; a model
            that grades or guides others is judged by the validation rows alone.
    """

    rows: ClassVar[type[Row]] = Row
    trains: ClassVar[Category] = "model"
    weights: ClassVar[bool] = True
    gated: ClassVar[bool] = True

    def serving(self, model: str, key: str, result: Path) -> list[str]:
        """Return the changes of the pipeline's settings by which it works with the result.

        Args:
            model: what the trained model is called in the pipeline.
            key: `adapter` or `model`, where a trained adapter or whole model goes.
            result: the folder of the result.
        """
        return [f"models.{model}.{key}={json.dumps(str(result))}"]

    def check(self, adapter: AdapterSettings) -> None:
        """Refuse settings that do not go together, before anything is built.

        Raises:
            InputError: says which and why.
        """

    @abstractmethod
    def train(self, job: TrainingJob) -> Trained:
        """Train, and write the result into `job.result`.

        The same job gives the same result on a CPU, also if it was killed and resumed in between.

        Raises:
            InputError: the rows or the settings do not fit the model.
            MissingPackageError: an extra is not installed.
        """
