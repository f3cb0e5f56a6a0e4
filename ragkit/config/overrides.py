"""`--set path.to.key=value`: change a pipeline, or another YAML file, from the command line."""

from collections.abc import Iterator, Sequence
from typing import Any

from ragkit.config.messages import show
from ragkit.config.problems import ConfigError, Path
from ragkit.config.source import Source, read_source
from ragkit.engine.controls import CONTROLS
from ragkit.errors import InputError, did_you_mean

PIPELINE_SECTIONS = ("name", "models", "index", "memory", "run")


def apply_overrides(source: Source, overrides: Sequence[str], sections: Sequence[str] = PIPELINE_SECTIONS) -> None:
    """Change the data of a source in place.

    The path starts at a section (`run.limit=20`, `models.small.dtype=float32`) or at a step's id
    (`answer.read.max_new_tokens=64`, which changes every step of that id). The value is read as YAML.

    Args:
        source: the file.
        overrides: the changes.
        sections: what paths can start with, beside the ids of steps.

    Raises:
        InputError: no `=`, or the path leads nowhere.
    """
    if not isinstance(source.data, dict):
        return  # that is reported when the pipeline is built
    for override in overrides:
        path_text, equals, value_text = override.partition("=")
        if not equals or not path_text:
            raise InputError(f"--set {override}: write it as path.to.key=value")
        try:
            value = read_source(value_text, "value").data
        except ConfigError as error:
            raise InputError(f"--set {override}: {error.problems[0].message}") from None
        for path in _find(source, path_text, override, sections):
            _put(source.data, path, value, override)
            source.overrides[path] = override


def _find(source: Source, path_text: str, override: str, sections: Sequence[str]) -> list[Path]:
    steps = dict[str, list[Path]]()
    for name, path in _steps(source.data.get("pipeline"), ("pipeline",)):
        steps.setdefault(name, []).append(path)
    parts = path_text.split(".")
    for length in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:length])
        if name in steps:
            return [(*path, *parts[length:]) for path in steps[name]]
    if parts[0] in sections:
        return [tuple(parts)]
    if path_text in steps:
        raise InputError(
            f"--set {override}: '{path_text}' is a step; name one of its settings: {path_text}.<setting>=value"
        )
    starts = [*sections, *steps]
    hint = did_you_mean(path_text.rpartition(".")[0], starts)
    valid = ", ".join(starts)
    raise InputError(f"--set {override}: '{path_text}' names no section and no step{hint} (it starts with: {valid})")


def _steps(items: Any, path: Path) -> Iterator[tuple[str, Path]]:
    """Yield the id of each step and the path of its settings, through all control nodes."""
    for n, item in enumerate(items if isinstance(items, list) else []):
        if not isinstance(item, dict):
            continue
        for name, settings in item.items():
            inner = (*path, n, name)
            if name not in CONTROLS:
                own = settings.get("id") if isinstance(settings, dict) else None
                yield own if isinstance(own, str) and own else name, inner
            elif isinstance(settings, dict):
                for key in ("do", "then", "else"):
                    yield from _steps(settings.get(key), (*inner, key))
                branches = settings.get("branches")
                for branch, do in branches.items() if isinstance(branches, dict) else ():
                    yield from _steps(do, (*inner, "branches", branch))


def _put(data: Any, path: Path, value: Any, override: str) -> None:
    for done, key in enumerate(path[:-1], 1):
        if isinstance(key, int):
            data = data[key]  # a step's place in its list
            continue
        if data.get(key) is None:
            data[key] = {}
        data = data[key]
        if not isinstance(data, (dict, list)) or (isinstance(data, list) and not isinstance(path[done], int)):
            leading = ".".join(str(part) for part in path[:done])
            raise InputError(f"--set {override}: '{leading}' is {show(data)}, which has no keys")
    data[path[-1]] = value
