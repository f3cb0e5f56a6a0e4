"""A pipeline to the data of its YAML file: the inverse of loading."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from ragkit.config.build import SINGLE
from ragkit.engine import registry
from ragkit.engine.calls import Resource
from ragkit.engine.component import Component, Kind
from ragkit.engine.conditions import Test
from ragkit.engine.nodes import Node, Step
from ragkit.errors import InputError
from ragkit.pipeline import Pipeline


def to_data(pipeline: Pipeline, *, defaults: bool = False) -> dict[str, Any]:
    """Return the pipeline as plain data: what was set, or with `defaults` every setting.

    Raises:
        InputError: a part cannot be written down, because its class is not registered under a name.
    """
    names = {id(model): name for name, model in pipeline.models.items()}
    single = {"index": (pipeline.index, registry.indexes), "memory": (pipeline.memory, registry.memories)}
    names |= {id(part): name for name, (part, _) in single.items() if part is not None}
    writer = _Writer(names, defaults)
    data: dict[str, Any] = {"name": pipeline.name}
    if pipeline.models:
        data["models"] = {
            name: {"provider": _registered(registry.models, model)} | writer.settings(model)
            for name, model in pipeline.models.items()
        }
    for name, (part, known) in single.items():
        if part is not None:
            kind = _registered(known, part)
            usual = kind == SINGLE[part.category] and not defaults
            data[name] = ({} if usual else {"type": kind}) | writer.settings(part)
    data["pipeline"] = writer.steps(pipeline.nodes)
    run = writer.settings(pipeline.settings)
    if pipeline.settings.judges:
        run["judges"] = {
            name: {"type": _registered(registry.judges, judge)} | writer.settings(judge)
            for name, judge in pipeline.settings.judges.items()
        }
    return data | ({"run": run} if run else {})


def to_yaml(pipeline: Pipeline, *, defaults: bool = False) -> str:
    """Return the pipeline as YAML text; see `to_data`."""
    return yaml.safe_dump(to_data(pipeline, defaults=defaults), sort_keys=False, allow_unicode=True, width=120)


def settings_of(component: BaseModel, models: Mapping[str, Resource]) -> dict[str, Any]:
    """Return every setting of a component that is no part of a pipeline but uses its models, as plain data."""
    return _Writer({id(model): name for name, model in models.items()}, defaults=True).settings(component)


class _Writer:
    def __init__(self, names: dict[int, str], defaults: bool) -> None:
        self.names = names
        self.defaults = defaults

    def settings(self, component: BaseModel) -> dict[str, Any]:
        """Return the settings of a component by their YAML keys."""
        fields, given = type(component).model_fields, component.model_fields_set
        everything = self.defaults and not isinstance(component, Test)  # which takes one operator, so no defaults
        wanted = [name for name in fields if everything or name in given]
        wanted = [name for name in wanted if not (fields[name].exclude and getattr(component, name) is None)]
        return {fields[name].alias or name: self.value(getattr(component, name)) for name in wanted}

    def value(self, value: Any) -> Any:
        if isinstance(value, Resource) and id(value) in self.names:
            return self.names[id(value)]
        if isinstance(value, Kind):
            return {"type": _registered(value.kinds, value)} | self.settings(value)
        if isinstance(value, BaseModel):
            return self.settings(value)
        if isinstance(value, (list, tuple)):
            return self.steps(value) if value and isinstance(value[0], Node) else [self.value(item) for item in value]
        if isinstance(value, dict):
            return {key: self.value(item) for key, item in value.items()}
        if isinstance(value, Path):
            return value.as_posix()
        if value is None or isinstance(value, (str, int, float, bool)):
            return value
        raise InputError(f"{type(value).__name__} cannot be written as YAML; it exists in Python only")

    def steps(self, nodes: Any) -> list[dict[str, Any]]:
        return [self.step(node) for node in nodes]

    def step(self, node: Node) -> dict[str, Any]:
        if not isinstance(node, Step):
            return {type(node).control: self.settings(node)}  # type: ignore[attr-defined]
        settings = self.settings(node.stage)
        settings = {key: value for key, value in settings.items() if not (key in SINGLE and value == key)}
        own = {} if node.id.partition("#")[0] == node.stage.name else {"id": node.id.partition("#")[0]}
        if _registered(registry.stages, node.stage) != node.stage.name:
            raise InputError(f"the stage '{node.stage.name}' is not registered under its name")
        return {node.stage.name: own | settings}


def _registered(known: registry.Registry, part: Component) -> str:
    for name in known:
        if known[name] is type(part):
            return name
    raise InputError(f"{type(part).__name__} is not registered as a {known.kind}, so YAML cannot name it")
