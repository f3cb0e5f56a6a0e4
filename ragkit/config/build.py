"""Plain data to components: every key checked, every name resolved, every problem placed."""

import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from ragkit.config.choose import choose
from ragkit.config.messages import NAMES, explain, show
from ragkit.config.problems import Path, Problem
from ragkit.config.source import Source
from ragkit.engine.calls import Category, Resource
from ragkit.engine.component import Kind
from ragkit.engine.registry import Registry
from ragkit.errors import did_you_mean

SINGLE: dict[Category, str] = {"index": "local", "memory": "reservoir"}
"""What a pipeline has one of, in a section of its own, with the `type` that need not be given; no stage names it."""


class Builder:
    """Builds components from one source and collects what is wrong with it.

    Attributes:
        resources: models, the index and the memory by their name in the YAML, as far as they could be built.
        declared: all names that the YAML declares, also those of models that could not be built.
        readable: whether the declared names are known, because the section `models` could be read.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.resources: dict[str, Resource] = {}
        self.declared: set[str] = set()
        self.readable = True

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

    def unknown_keys(
        self, data: Mapping[str, Any], known: Sequence[str], path: Path, where: str, missing: Sequence[str] = ()
    ) -> set[str]:
        """Complain about every key that is not known; return the known keys that were probably meant.

        Args:
            data: the mapping with the keys.
            known: the keys that may stand there.
            path: where the mapping stands.
            where: what the messages call it.
            missing: the known keys that have to be there and are not, which are meant first.
        """
        meant: set[str] = set()
        for key in data:
            if key not in known:
                hint = did_you_mean(key, missing) or did_you_mean(key, known)
                valid = f" (valid keys: {', '.join(known)})" if known else "; it takes no settings"
                self.complain((*path, key), f"unknown key '{key}'{hint}{valid}", where, at_key=True)
                meant.update(name for name in known if hint.endswith(f"'{name}'?"))
        return meant

    def component(
        self, cls: type[BaseModel], data: Any, path: Path, where: str, *, besides: Sequence[str] = (), **ready: Any
    ) -> Any:
        """Build a component, or complain and return None.

        Args:
            cls: its class.
            data: the mapping from the YAML.
            path: where the mapping stands.
            where: what the messages call it.
            besides: further keys that may stand here and that the caller has read.
            ready: field values that are built already.
        """
        values = self.mapping(data, path, where)
        if values is None:
            return None
        fields = {field.alias or name: field for name, field in cls.model_fields.items() if not field.exclude}
        built = {cls.model_fields[name].alias or name: value for name, value in ready.items()}
        before = len(self.problems)
        missing = [key for key, field in fields.items() if field.is_required() and key not in {*values, *built}]
        failed = self.unknown_keys(values, [*besides, *fields], path, where, missing)
        for key, field in fields.items():
            if key in values and key not in built:
                known = len(self.problems)
                value = self._value(field.annotation, values[key], (*path, key), f"{where}.{key}")
                if len(self.problems) > known or (value is None and values[key] is not None):
                    failed.add(key)  # said already, here or where the named model is declared
                else:
                    built[key] = value
        try:
            component = cls.model_validate(built)
        except ValidationError as error:
            for item in error.errors(include_url=False):
                # what a whole component lacks may be the key that failed, and has been said then
                if item["loc"][0] not in failed if item["loc"] else not failed:
                    self._explain(dict(item), path, where)
            return None
        return component if len(self.problems) == before and not failed else None

    def _value(self, annotation: Any, value: Any, path: Path, where: str) -> Any:
        """Return a field's value: a name becomes its resource, a mapping its component, anything else stays.

        None where a value was given stands for one that cannot be built, which has been said.
        """
        kinds = annotated_classes(annotation)
        for kind in kinds:
            if issubclass(kind, Resource) and (value is not None or types.NoneType not in kinds):
                return self.resource(kind, value, path, where)
            if issubclass(kind, Kind) and isinstance(value, dict):
                return self._of_kind(kind.kinds, value, path, where)
            only = {*kinds, types.NoneType} == {kind, types.NoneType} and (value is not None or len(kinds) == 1)
            if issubclass(kind, BaseModel) and (only or isinstance(value, dict)):
                return self.component(kind, value, path, where)
        if isinstance(value, list) and (inner := item_annotation(annotation)) is not None:
            items = [self._value(inner, item, (*path, n), f"{where}, item {n + 1}") for n, item in enumerate(value)]
            unbuilt = any(item is None and given is not None for item, given in zip(items, value, strict=True))
            return None if unbuilt else items
        if isinstance(value, bool) and {int, float} & set(kinds) and bool not in kinds:
            wanted = "a number" if float in kinds else "a whole number"
            self.complain(path, f"must be {wanted}, not {show(value)}", where)  # Python would take true for 1
            return None
        return value

    def _of_kind(self, known: Registry, values: dict[str, Any], path: Path, where: str) -> Any:
        """Build a component of the kind that its `type` names, or complain and return None."""
        cls = choose(self, known, values, "type", path, where)
        if cls is None:
            return None
        rest = {key: value for key, value in values.items() if key != "type"}
        return self.component(cls, rest, path, where, besides=("type",))

    def resource(self, kind: type[Resource], name: Any, path: Path, where: str) -> Resource | None:
        """Return the model or index of a name, or complain."""
        further = kind.category == "index" and isinstance(name, str) and name in self.declared
        if kind.category in SINGLE and name != kind.category and not further:
            section = kind.category
            message = f"a pipeline has one {section}, the section '{section}'; leave this key out"
            if section == "index":
                message += ", or name a further index that is declared under 'models'"
            self.complain(path, message, where)
            return None
        if not isinstance(name, str):
            self.complain(path, f"must be the name of a model declared under 'models', not {show(name)}", where)
            return None
        needed = _called(kind)
        fitting = sorted(known for known in self.declared if self._may_be(kind, known))
        if name not in self.declared and self.readable:
            hint = did_you_mean(name, fitting)
            self.complain(path, f"no model '{name}' is declared{hint} ({_choices(needed, fitting)})", where)
            return None
        resource = self.resources.get(name)
        if resource is not None and not isinstance(resource, kind):
            found = _called(type(resource))
            self.complain(path, f"'{name}' is {found}, but {needed} is needed ({_choices(needed, fitting)})", where)
            return None
        return resource

    def _may_be(self, kind: type[Resource], name: str) -> bool:
        """Say whether a declared name is a resource of a kind, or could not be built and may be one."""
        return name not in SINGLE and (name not in self.resources or isinstance(self.resources[name], kind))

    def _explain(self, error: dict[str, Any], path: Path, where: str) -> None:
        """Turn one of pydantic's findings into a problem."""
        parts = tuple(part for part in error["loc"] if not isinstance(part, str) or _is_key(part))
        if error["type"] == "missing":
            self.complain((*path, *parts[:-1]), f"missing key '{parts[-1]}'", _join(where, parts[:-1]), at_key=True)
        else:
            message = explain(error["type"], error["input"], error.get("ctx") or {}, str(error["msg"]))
            self.complain((*path, *parts), message, _join(where, parts))


def _called(kind: type[Resource]) -> str:
    """Return what messages call a kind of resource."""
    return kind.called or NAMES[kind.category]


def annotated_classes(annotation: Any) -> list[type]:
    """Return the classes that an annotation names, through Optional, Union and Annotated."""
    return [part for part in _parts(annotation) if isinstance(part, type) and get_origin(part) is None]


def item_annotation(annotation: Any) -> Any:
    """Return what the items of a list are annotated as, None if the annotation names no list."""
    return next((get_args(part)[0] for part in _parts(annotation) if get_origin(part) in (list, tuple)), None)


def _parts(annotation: Any) -> list[Any]:
    """Return the alternatives of an annotation."""
    if get_origin(annotation) is Annotated:
        return _parts(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [part for choice in get_args(annotation) for part in _parts(choice)]
    return [annotation]


def _choices(needed: str, names: Sequence[str]) -> str:
    return f"declared as {needed}: {', '.join(names) or 'none'}"


def _is_key(part: str) -> bool:
    """Tell YAML keys from the names of types that pydantic puts into an error's place."""
    return part.isidentifier() and part not in {"str", "int", "float", "bool", "function"}


def _join(where: str, parts: tuple[str | int, ...]) -> str:
    """Return where a nested value stands, list positions counted from 1."""
    return where + "".join(f", item {part + 1}" if isinstance(part, int) else f".{part}" for part in parts)
