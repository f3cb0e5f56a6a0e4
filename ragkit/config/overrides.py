"""`--set path.to.key=value`: change a pipeline from the command line."""

from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from ragkit.config.problems import Path
from ragkit.config.source import Source
from ragkit.engine.controls import CONTROLS
from ragkit.errors import InputError, did_you_mean


def apply_overrides(source: Source, overrides: Sequence[str]) -> None:
    """Change the data of a source in place.

    The path starts at a section (`run.limit=20`, `models.small.dtype=float32`) or at a step's id
    (`answer.read.max_new_tokens=64`, which changes every step of that id). The value is read as YAML.

    Raises:
        InputError: no `=`, or the path leads nowhere.
    """
    for override in overrides:
        path_text, equals, value_text = override.partition("=")
        if not equals or not path_text:
            raise InputError(f"--set {override}: write it as path.to.key=value")
        try:
            value = yaml.safe_load(value_text)
        except yaml.YAMLError:
            raise InputError(f"--set {override}: the value is not valid YAML") from None
        for path in _find(source, path_text, override):
            _put(source.data, path, value)
            source.overrides[path] = override


def _find(source: Source, path_text: str, override: str) -> list[Path]:
    data = source.data if isinstance(source.data, dict) else {}
    steps = dict[str, list[Path]]()
    for name, path in _steps(data.get("pipeline"), ("pipeline",)):
        steps.setdefault(name, []).append(path)
    parts = path_text.split(".")
    for length in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:length])
        if name in steps:
            return [(*path, *parts[length:]) for path in steps[name]]
    sections = ("name", "models", "index", "run")
    if parts[0] in sections:
        return [tuple(parts)]
    starts = [*sections, *steps]
    hint = did_you_mean(path_text.rpartition(".")[0], starts)
    raise InputError(
        f"--set {override}: '{path_text}' names no section and no step{hint} (it starts with one of: {', '.join(starts)})"
    )


def _steps(items: Any, path: Path) -> Iterator[tuple[str, Path]]:
    """Yield the id of each step and the path of its settings, through all control nodes."""
    for n, item in enumerate(items if isinstance(items, list) else []):
        if not isinstance(item, dict):
            continue
        for name, settings in item.items():
            inner = (*path, n, name)
            if name not in CONTROLS:
                own = settings.get("id") if isinstance(settings, dict) else None
                yield own or name, inner
            elif isinstance(settings, dict):
                for key in ("do", "then", "else"):
                    yield from _steps(settings.get(key), (*inner, key))
                branches = settings.get("branches")
                for branch, do in branches.items() if isinstance(branches, dict) else ():
                    yield from _steps(do, (*inner, "branches", branch))


def _put(data: Any, path: Path, value: Any) -> None:
    for key in path[:-1]:
        if isinstance(data, dict):
            if data.get(key) is None:
                data[key] = {}
            data = data[key]
        else:
            data = data[int(key)] if isinstance(data, list) and str(key).isdigit() and int(key) < len(data) else None
    if not isinstance(data, dict):
        raise InputError(f"--set: '{'.'.join(map(str, path))}' leads into a value that has no keys")
    data[path[-1]] = value
