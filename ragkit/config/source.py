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
        ConfigError: broken YAML, a repeated key, a key that is no string, or an unsafe tag.
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
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        reader.problems.append(Problem(line, column, f"not valid YAML: {error.problem or error.context}"))
    except (yaml.YAMLError, ValueError) as error:
        reader.problems.append(Problem(1, 1, f"not valid YAML: {str(error).splitlines()[0]}"))
    except RecursionError:
        reader.problems.append(Problem(1, 1, "not valid YAML: nested too deeply"))
    if reader.problems:
        raise ConfigError(file, reader.problems, text)
    return source


class _Reader:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.count = 0

    def read(self, node: yaml.Node, loader: yaml.SafeLoader, path: Path) -> Any:
        """Return the plain data of a node, noting where it stands."""
        self.count += 1
        if self.count > _MOST_NODES:
            raise ValueError(f"more than {_MOST_NODES} values")
        self.source.values[path] = _position(node)
        if isinstance(node, yaml.MappingNode):
            return self._read_mapping(node, loader, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, loader, (*path, n)) for n, item in enumerate(node.value)]
        return loader.construct_object(node)

    def _read_mapping(self, node: yaml.MappingNode, loader: yaml.SafeLoader, path: Path) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line, column = _position(key_node)
            key = loader.construct_object(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if isinstance(key, bool):  # YAML 1.1 reads `on:` as true
                key = key_node.value
            if not isinstance(key, str):
                self.problems.append(Problem(line, column, f"a key must be a text, not {key_node.value!r:.40}"))
                continue
            if key in data:
                first, _ = self.source.keys[(*path, key)]
                self.problems.append(Problem(line, column, f"key '{key}' is given twice, first in line {first}"))
                continue
            self.source.keys[(*path, key)] = (line, column)
            data[key] = self.read(value_node, loader, (*path, key))
        return data


def _position(node: yaml.Node) -> Position:
    return node.start_mark.line + 1, node.start_mark.column + 1
