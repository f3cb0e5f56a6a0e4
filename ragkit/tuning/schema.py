"""The JSON Schema of recipes, for editors."""

from typing import Any

from ragkit.config.schema import schemas_of, tagged
from ragkit.engine import registry
from ragkit.engine.component import Component
from ragkit.evaluation.question_sets import QuestionSet
from ragkit.tuning.gate import GateSettings
from ragkit.tuning.job import AdapterSettings, TrainingSettings
from ragkit.tuning.recipe import RecipeSettings


def recipe_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a recipe, with every known builder, selector, objective and reward."""
    builders, selectors, objectives = (
        {name: known[name] for name in known} for known in (registry.builders, registry.selectors, registry.objectives)
    )
    sections: list[type[Component]] = [RecipeSettings, QuestionSet, AdapterSettings, TrainingSettings, GateSettings]
    rewards = {name: registry.rewards[name] for name in registry.rewards}
    parts = (builders, selectors, objectives, rewards)
    schemas, defs = schemas_of([*(cls for known in parts for cls in known.values()), *sections])
    defs["reward"] = {"oneOf": [tagged(schemas[cls], "type", name, True) for name, cls in rewards.items()]}
    chosen = [tagged(schemas[cls], "type", name, True) for name, cls in selectors.items()]
    select = {
        "type": "array",
        "description": "selectors, one after the other",
        "items": {"oneOf": chosen} if chosen else False,
    }
    data = [
        tagged(
            schemas[cls] | {"properties": schemas[cls].get("properties", {}) | {"select": select}},
            "builder",
            name,
            True,
        )
        for name, cls in builders.items()
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ragkit recipe",
        "type": "object",
        "additionalProperties": False,
        "required": ["pipeline", "model", "sets", "data", "objective"],
        "properties": {
            **schemas[RecipeSettings]["properties"],
            "sets": {"type": "object", "minProperties": 1, "additionalProperties": schemas[QuestionSet]},
            "data": {"oneOf": data},
            "objective": {"oneOf": [tagged(schemas[cls], "type", name, True) for name, cls in objectives.items()]},
            "adapter": schemas[AdapterSettings],
            "training": schemas[TrainingSettings],
            "gate": schemas[GateSettings],
        },
        "$defs": defs,
    }
