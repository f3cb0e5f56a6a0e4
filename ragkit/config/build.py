"""Plain data to components: every key checked, every name resolved, every problem placed."""

import types
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from ragkit.config.problems import Path, Problem
from ragkit.config.source import Source
from ragkit.engine.calls import Resource
from ragkit.engine.component import Component
from ragkit.errors import did_you_mean


UNBUILT = object()
"""Stands for a part that was complained about already."""


class Builder:
    """Builds components from one source and collects what is wrong with it.

    Attributes:
        resources: models and the index by their name in the YAML, as far as they could be built.
        declared: all names that the YAML declares, also those of models that could not be built.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.resources: dict[str, Resource] = {}
        self.declared: set[str] = set()

    def complain(self, path: Path, message: str, where: str = "", *, at_key: bool = False) -> None:
        """Note a problem."""
        self.problems.append(self.source.problem(path, message, where, at_key=at_key))

    def mapping(self, data: Any, path: Path, where: str) -> dict[str, Any] | None:
        """Return the data if it is a mapping (nothing counts as an empty one), else complain."""
        if data is None:
            return {}
        if isinstance(data, dict):
            return data
        self.complain(path, f"must be a mapping of keys to values, not {show(data)}", where)
        return None

    def unknown_keys(self, data: Mapping[str, Any], known: Iterable[str], path: Path, where: str) -> set[str]:
        """Complain about every key that is not known; return the known keys that were probably meant."""
        known = list(known)
        meant: set[str] = set()
        for key in data:
            if key not in known:
                hint = did_you_mean(key, known)
                valid = ", ".join(known) or "none"
                self.complain((*path, key), f"unknown key '{key}'{hint} (valid keys: {valid})", where, at_key=True)
                meant.update(name for name in known if hint.endswith(f"'{name}'?"))
        return meant

    def component(self, cls: type[Component], data: Any, path: Path, where: str, **ready: Any) -> Any:
        """Build a component, or complain and return None.

        Args:
            cls: its class.
            data: the mapping from the YAML.
            path: where the mapping stands.
            where: what the messages call it.
            ready: field values that are built already.
        """
        values = self.mapping(data, path, where)
        if values is None:
            return None
        fields = {field.alias or name: (name, field) for name, field in cls.model_fields.items()}
        settable = [key for key, (name, _) in fields.items() if name not in ready]
        before = len(self.problems)
        failed = self.unknown_keys(values, settable, path, where)
        built: dict[str, Any] = {cls.model_fields[name].alias or name: value for name, value in ready.items()}
        for key in settable:
            if key in values:
                known = len(self.problems)
                value = self._value(fields[key][1], values[key], (*path, key), f"{where}: '{key}'")
                if value is UNBUILT or len(self.problems) > known:
                    failed.add(key)
                else:
                    built[key] = value
        try:
            component = cls.model_validate(built)
        except ValidationError as error:
            for item in error.errors():
                if not item["loc"] or item["loc"][0] not in failed:
                    self._explain(dict(item), path, where)
            return None
        return component if not failed and len(self.problems) == before else None

    def _value(self, field: FieldInfo, value: Any, path: Path, where: str) -> Any:
        """Return a field's value: a name becomes its resource, a mapping its component, anything else stays."""
        for kind in annotated_classes(field.annotation):
            if issubclass(kind, Resource) and (value is not None or field.is_required()):
                return self.resource(kind, value, path, where)
            if issubclass(kind, Component) and isinstance(value, dict):
                return self.component(kind, value, path, where)
        return value

    def resource(self, kind: type[Resource], name: Any, path: Path, where: str) -> Any:
        """Return the model or index of a name; UNBUILT if it could not be built, or after a complaint."""
        if not isinstance(name, str):
            self.complain(path, f"must be the name of a model declared under 'models', not {show(name)}", where)
            return UNBUILT
        if name not in self.declared:
            fitting = [known for known, resource in self.resources.items() if isinstance(resource, kind)]
            declared = ", ".join(sorted(fitting)) or "none"
            hint = did_you_mean(name, fitting)
            self.complain(path, f"no {kind.category} '{name}' is declared{hint} (declared: {declared})", where)
            return UNBUILT
        resource = self.resources.get(name)
        if resource is not None and not isinstance(resource, kind):
            self.complain(path, f"'{name}' is a {resource.category}, but a {kind.category} is needed", where)
            return UNBUILT
        return UNBUILT if resource is None else resource

    def _explain(self, error: dict[str, Any], path: Path, where: str) -> None:
        """Turn one of pydantic's findings into a problem."""
        parts = tuple(part for part in error["loc"] if not isinstance(part, str) or _is_key(part))
        place = (*path, *parts)
        message = str(error["msg"])
        if error["type"] == "missing":
            self.complain(place[:-1], f"missing key '{parts[-1]}'", _join(where, parts[:-1]))
        elif error["type"] == "extra_forbidden":
            self.complain(place, f"unknown key '{parts[-1]}'", _join(where, parts[:-1]), at_key=True)
        elif error["type"] == "value_error":
            self.complain(place, message.removeprefix("Value error, "), _join(where, parts))
        else:
            wanted = (
                message.replace("Input should be", "must be")
                .replace("String should", "must")
                .replace("should have", "must have")
            )
            hint = ""
            if error["type"] == "literal_error" and isinstance(error["input"], str):
                hint = did_you_mean(
                    error["input"], error["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
                )
            self.complain(place, f"{wanted}, not {show(error['input'])}{hint}", _join(where, parts))


def annotated_classes(annotation: Any) -> list[type]:
    """Return the classes that an annotation names, through Optional, Union and Annotated."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return annotated_classes(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [kind for part in get_args(annotation) for kind in annotated_classes(part)]
    return [annotation] if isinstance(annotation, type) else []


def show(value: Any) -> str:
    """Return a value as a message shows it: short, and mappings and lists by their kind."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _is_key(part: str) -> bool:
    """Tell YAML keys from the names of types that pydantic puts into an error's place."""
    return part.isidentifier() and part not in {"str", "int", "float", "bool", "function"}


def _join(where: str, parts: tuple[str | int, ...]) -> str:
    if not parts:
        return where
    keys = ".".join(str(part) for part in parts)
    return f"{where}: '{keys}'"
