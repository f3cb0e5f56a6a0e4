"""The stage of a pipeline that a model is tuned for."""

from typing import TypeVar

from ragkit.engine.controls import steps_of
from ragkit.engine.stage import Stage
from ragkit.errors import InputError
from ragkit.pipeline import Pipeline

S = TypeVar("S", bound=Stage)


def stage_with(pipeline: Pipeline, kind: type[S], model: str) -> S:
    """Return the first stage of a kind whose `model` is the pipeline's model of a name.

    Raises:
        InputError: there is none.
    """
    tuned = pipeline.models[model]
    for step in steps_of(pipeline.nodes):
        if isinstance(step.stage, kind) and getattr(step.stage, "model", None) is tuned:
            return step.stage
    raise InputError(f"the pipeline '{pipeline.name}' has no step {kind.name} with the model '{model}'")
