"""YAML text to plain data, with the line and column of every key and value."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from ragkit.config.problems import ConfigError, Path, Problem
from ragkit.config.syntax import in_words

Position = tuple[int, int]
_MOST_NODES = 100_000
_TAG = "tag:yaml.org,2002:"


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
        if mark and error.context_mark and mark.index >= len(text.rstrip()):
            mark = error.context_mark  # what is open at the end of the file is shown where it was opened
        reader.complain((mark.line + 1, mark.column + 1) if mark else (1, 1), f"not valid YAML: {in_words(error)}")
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
        self._count()
        self.source.values[path] = _position(node)
        if isinstance(node, yaml.ScalarNode):
            return self._read_scalar(node, loader)
        if node.tag not in (yaml.resolver.Resolver.DEFAULT_MAPPING_TAG, yaml.resolver.Resolver.DEFAULT_SEQUENCE_TAG):
            self._refuse_tag(node)
            return None
        if isinstance(node, yaml.MappingNode):
            return self._read_mapping(node, loader, path)
        return [self.read(item, loader, (*path, n)) for n, item in enumerate(node.value)]

    def _count(self) -> None:
        self.count += 1
        if self.count > _MOST_NODES:
            raise _TooLargeError

    def _read_scalar(self, node: yaml.ScalarNode, loader: yaml.SafeLoader) -> Any:
        """Return a text, number, truth value or None; a date stays the text that it is written as."""
        kind = node.tag.removeprefix(_TAG)
        if kind in {"str", "timestamp", "value", "merge"}:
            return node.value
        plain = loader.resolve(yaml.ScalarNode, node.value, (True, False))  # type: ignore[no-untyped-call]
        if kind in {"int", "float", "bool", "null"} and node.tag == plain:
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
        for key_node, value_node, merged in self._pairs(node):
            position = _position(key_node)
            key = self._read_scalar(key_node, loader) if isinstance(key_node, yaml.ScalarNode) else None
            if isinstance(key, bool):  # YAML 1.1 reads `on:` as true
                key = key_node.value
            if not isinstance(key, str):
                plain = isinstance(key_node, yaml.ScalarNode)
                shown = f"'{key_node.value:.40}'; put it in quotes" if plain else "a list or mapping"
                self.complain(position, f"a key must be a text, not {shown}")
            elif key not in data:
                self.source.keys[(*path, key)] = position
                data[key] = self.read(value_node, loader, (*path, key))
            elif not merged:
                first, _ = self.source.keys[(*path, key)]
                self.complain(position, f"key '{key}' is given twice, first in line {first}")
        return data

    def _pairs(self, node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node, bool]]:
        """Yield the keys and values of a mapping, then those that it takes over by `<<` (marked True)."""
        merges = [value for key, value in node.value if key.tag == f"{_TAG}merge"]
        yield from ((key, value, False) for key, value in node.value if key.tag != f"{_TAG}merge")
        for value in merges:
            for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                self._count()
                if isinstance(source, yaml.MappingNode):
                    yield from ((key, item, True) for key, item, _ in self._pairs(source))
                else:
                    self.complain(_position(source), "'<<' takes over a mapping, or a list of mappings")


def _position(node: yaml.Node) -> Position:
    return node.start_mark.line + 1, node.start_mark.column + 1
