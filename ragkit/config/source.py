"""YAML text to plain data, with the line and column of every key and value."""

from dataclasses import dataclass, field
from typing import Any

import yaml

from ragkit.config.problems import ConfigError, Path, Problem

Position = tuple[int, int]
_MOST_NODES = 100_000


@dataclass(slots=True)
class Source:
    """The data of a YAML file and where its parts stand.

    Attributes:
        file: the file's name, for messages.
        text: its text.
        data: plain dicts, lists and scalars.
        keys: position of a mapping's key, by the path of its value.
        values: position of a value, by its path.
        overrides: `--set` text by the path that it replaced.
    """

    file: str
    text: str
    data: Any = None
    keys: dict[Path, Position] = field(default_factory=dict)
    values: dict[Path, Position] = field(default_factory=dict)
    overrides: dict[Path, str] = field(default_factory=dict)

    def problem(self, path: Path, message: str, where: str = "", *, at_key: bool = False) -> Problem:
        """Return a problem placed at a value (or at its key), or at the nearest part that has a place."""
        for length in range(len(path), -1, -1):
            part = path[:length]
            if part in self.overrides:
                return Problem(0, 0, f"{message} (from --set {self.overrides[part]})", where)
            place = (self.keys if at_key else self.values).get(part) or self.values.get(part)
            if place:
                return Problem(*place, message, where)
        return Problem(1, 1, message, where)


def read_source(text: str, file: str) -> Source:
    """Parse YAML safely.

    Raises:
        ConfigError: broken YAML, a repeated key, a key that is no text, or an unsafe tag.
    """
    source = Source(file, text)
    reader = _Reader(source)
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            source.data = reader.read(node, loader, ()) if node else None
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        reader.complain(position, f"not valid YAML: {_in_words(error)}")
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        position = (before.count("\n") + 1, error.position - before.rfind("\n"))
        reader.complain(position, f"not valid YAML: the character U+{ord(text[error.position]):04X} is not allowed")
    except RecursionError:
        reader.complain((1, 1), "not usable: nested too deeply, or an alias that stands inside its own anchor")
    except _TooLargeError:
        reader.complain((1, 1), f"not usable: more than {_MOST_NODES:,} values once its aliases are written out")
    if reader.problems:
        raise ConfigError(file, reader.problems, text)
    return source


class _TooLargeError(Exception):
    """The data has more values than any pipeline needs."""


class _Reader:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.count = 0

    def complain(self, position: Position, message: str) -> None:
        self.problems.append(Problem(*position, message))

    def read(self, node: yaml.Node, loader: yaml.SafeLoader, path: Path) -> Any:
        """Return the plain data of a node, noting where it stands."""
        self.count += 1
        if self.count > _MOST_NODES:
            raise _TooLargeError
        self.source.values[path] = _position(node)
        if isinstance(node, yaml.ScalarNode):
            return self._read_scalar(node, loader)
        if node.tag not in (yaml.resolver.Resolver.DEFAULT_MAPPING_TAG, yaml.resolver.Resolver.DEFAULT_SEQUENCE_TAG):
            self._refuse_tag(node)
            return None
        if isinstance(node, yaml.MappingNode):
            return self._read_mapping(node, loader, path)
        return [self.read(item, loader, (*path, n)) for n, item in enumerate(node.value)]

    def _read_scalar(self, node: yaml.ScalarNode, loader: yaml.SafeLoader) -> Any:
        """Return a text, number, truth value or None; a date stays the text that it is written as."""
        kind = node.tag.removeprefix(_TAG)
        if kind in {"str", "timestamp", "value", "merge"}:
            return node.value
        if kind in {"int", "float", "bool", "null"} and loader.resolve(yaml.ScalarNode, node.value, (True, False)) == node.tag:
            try:
                return loader.construct_object(node)
            except ValueError:  # an integer of thousands of digits
                self.complain(_position(node), "not a usable number")
        else:
            self._refuse_tag(node)
        return None

    def _refuse_tag(self, node: yaml.Node) -> None:
        tag = f"!!{node.tag.removeprefix(_TAG)}" if node.tag.startswith(_TAG) else node.tag
        self.complain(_position(node), f"the tag '{tag}' is not allowed; a pipeline file holds plain values only")

    def _read_mapping(self, node: yaml.MappingNode, loader: yaml.SafeLoader, path: Path) -> dict[str, Any]:
        data: dict[str, Any] = {}
        merged: dict[str, yaml.Node] = {}
        for key_node, value_node in node.value:
            line, column = _position(key_node)
            if key_node.tag == f"{_TAG}merge":
                merged = self._merged(value_node) | merged
                continue
            key = self._read_scalar(key_node, loader) if isinstance(key_node, yaml.ScalarNode) else None
            if isinstance(key, bool):  # YAML 1.1 reads `on:` as true
                key = key_node.value
            if not isinstance(key, str):
                shown = f"'{key_node.value:.40}'" if isinstance(key_node, yaml.ScalarNode) else f"a {key_node.id}"
                self.complain((line, column), f"a key must be a text, not {shown}")
                continue
            if key in data:
                first, _ = self.source.keys[(*path, key)]
                self.complain((line, column), f"key '{key}' is given twice, first in line {first}")
                continue
            self.source.keys[(*path, key)] = (line, column)
            data[key] = self.read(value_node, loader, (*path, key))
        for key, (key_node, value_node) in merged.items():
            pass
        return data


def _position(node: yaml.Node) -> Position:
    return node.start_mark.line + 1, node.start_mark.column + 1
