"""The JSON Schema of pipeline files, and the names of types as users read them."""

import types
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from ragkit.config.build import SINGLE
from ragkit.engine import registry
from ragkit.engine.calls import Resource
from ragkit.engine.component import Component, Kind
from ragkit.engine.controls import CONTROLS
from ragkit.engine.nodes import Node
from ragkit.settings import RunSettings


class _Generator(GenerateJsonSchema):
    """Writes resources as names and nested nodes as lists of steps."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        cls = schema["cls"]
        if issubclass(cls, Resource) and cls.__name__ not in _registered():
            return {"type": "string", "description": f"name of a {cls.category} declared in this file"}
        if cls is Node:
            return {"$ref": "#/$defs/step"}
        if issubclass(cls, Kind) and "kinds" in vars(cls):  # the base of all of them; the caller defines the choice
            return {"$ref": f"#/$defs/{cls.kinds.kind}"}
        return super().model_schema(schema)

    def is_instance_schema(self, schema: core_schema.IsInstanceSchema) -> JsonSchemaValue:
        return {}

    def callable_schema(self, schema: core_schema.CallableSchema) -> JsonSchemaValue:
        return {"not": {}}

    def function_plain_schema(self, schema: Any) -> JsonSchemaValue:
        return {}


def _registered() -> set[str]:
    kinds = (registry.models, registry.indexes, registry.memories)
    return {known[name].__name__ for known in kinds for name in known}


def pipeline_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a pipeline file, with every known stage, model provider, index and memory."""
    stages = {name: registry.stages[name] for name in registry.stages}
    providers = {name: registry.models[name] for name in registry.models}
    judges = {name: registry.judges[name] for name in registry.judges}
    indexes = {name: registry.indexes[name] for name in registry.indexes}
    memories = {name: registry.memories[name] for name in registry.memories}
    rewards = {name: registry.rewards[name] for name in registry.rewards}
    classes: list[type[Component]] = [
        *stages.values(),
        *providers.values(),
        *indexes.values(),
        *memories.values(),
        *CONTROLS.values(),
        *judges.values(),
        *rewards.values(),
        RunSettings,
    ]
    schemas, defs = schemas_of(classes)

    def own(cls: type[Component], **more: Any) -> dict[str, Any]:
        """Return a class's schema with further properties."""
        return schemas[cls] | {"properties": more | schemas[cls].get("properties", {})}

    defs["reward"] = {"oneOf": [tagged(own(cls), "type", name, True) for name, cls in rewards.items()]}
    run = own(RunSettings)
    run["properties"] = run["properties"] | {
        "judges": {
            "type": "object",
            "additionalProperties": {"oneOf": [tagged(own(cls), "type", name, True) for name, cls in judges.items()]},
        }
    }
    text = {"type": "string"}
    defs["step"] = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
        "properties": {
            **{
                name: _optional_if_empty(_without_single(own(cls, id={**text, "description": "the step's own id"})))
                for name, cls in stages.items()
            },
            **{name: own(cls) for name, cls in CONTROLS.items()},
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ragkit pipeline",
        "type": "object",
        "additionalProperties": False,
        "required": ["pipeline"],
        "properties": {
            "name": text,
            "models": {
                "type": "object",
                "additionalProperties": {
                    "oneOf": [tagged(own(cls), "provider", name, True) for name, cls in providers.items()]
                },
            },
            "index": {"oneOf": [tagged(own(cls), "type", name, name != "local") for name, cls in indexes.items()]},
            "memory": {
                "oneOf": [tagged(own(cls), "type", name, name != "reservoir") for name, cls in memories.items()]
            },
            "pipeline": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/step"}},
            "run": run,
        },
        "$defs": defs,
    }


def schemas_of(classes: Iterable[type[Component]]) -> tuple[dict[type[Component], dict[str, Any]], dict[str, Any]]:
    """Return the schema of each class, and the definitions that they refer to as `#/$defs/...`."""
    wanted = list(dict.fromkeys(classes))
    refs, definitions = models_json_schema(
        [(cls, "validation") for cls in wanted], schema_generator=_Generator, ref_template="#/$defs/{model}"
    )
    defs: dict[str, Any] = dict(definitions.get("$defs", {}))
    return {cls: dict(_resolve(refs[(cls, "validation")], defs)) for cls in wanted}, defs


def _resolve(schema: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    return defs[reference.rpartition("/")[2]] if reference else schema


def _without_single(schema: dict[str, Any]) -> dict[str, Any]:
    """Make `index` and `memory` optional: a pipeline has one of each, so a stage need not name it."""
    return schema | {"required": [key for key in schema.get("required", []) if key not in SINGLE]}


def _optional_if_empty(schema: dict[str, Any]) -> dict[str, Any]:
    """Let a stage that requires nothing be written without settings (`- memory.store:`)."""
    return schema if schema.get("required") else schema | {"type": ["object", "null"]}


def tagged(schema: dict[str, Any], key: str, name: str, required: bool) -> dict[str, Any]:
    """Return the schema of a part that is told apart from others by the value of a key."""
    return schema | {
        "properties": {key: {"const": name}} | schema.get("properties", {}),
        "required": [*([key] if required else []), *schema.get("required", [])],
    }


def type_name(annotation: Any) -> str:
    """Return a type as a user reads it: `int or None`, `'a' | 'b'`, `language model`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_name(arguments[0])
    if origin in (Union, types.UnionType):
        return " or ".join(type_name(part) for part in arguments if get_origin(part) is not Callable)
    if origin is Literal:
        return " | ".join(repr(choice) for choice in arguments)
    if origin in (list, tuple):
        return f"list of {type_name(arguments[0])}"
    if origin is dict:
        return f"mapping of {type_name(arguments[1])}"
    if annotation is type(None):
        return "null"
    if isinstance(annotation, type) and issubclass(annotation, Resource):
        return f"name of a {annotation.category}"
    if isinstance(annotation, type) and issubclass(annotation, Node):
        return "step"
    if isinstance(annotation, type) and issubclass(annotation, Kind):
        return annotation.kinds.kind
    return {str: "text", int: "int", float: "float", bool: "bool"}.get(
        annotation, getattr(annotation, "__name__", str(annotation))
    )
