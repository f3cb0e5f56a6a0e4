"""A YAML file to a checked pipeline, with all problems reported at once and before any model loads."""

import re
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any

from ragkit.config.build import SINGLE, Builder
from ragkit.config.choose import choose
from ragkit.config.messages import NAMES, show
from ragkit.config.overrides import apply_overrides
from ragkit.config.problems import ConfigError, Path
from ragkit.config.source import Source, read_source
from ragkit.engine import registry
from ragkit.engine.calls import Category, Resource
from ragkit.engine.controls import CONTROLS
from ragkit.engine.nodes import ANYTHING, Complain, Known, Node, Step, check_sequence
from ragkit.engine.state import INITIAL_FIELDS, State
from ragkit.engine.trace import Trace
from ragkit.errors import InputError, did_you_mean
from ragkit.pipeline import Pipeline
from ragkit.settings import RunSettings

SECTIONS = ("name", "models", "index", "memory", "pipeline", "run")
_STEP = "'- answer.read: {model: reader}'"
_JUDGE = re.compile(r"[\w-]+")
_NAME = re.compile(r"(?!\.\.?$)[^/\\\x00-\x1f]*[^/\\\x00-\x20]")


def load_pipeline(path: str | FilePath, overrides: Sequence[str] = ()) -> Pipeline:
    """Read and check a pipeline file.

    Args:
        path: the YAML file. Paths inside it are relative to the current folder.
        overrides: changes of the form `path.to.key=value`.

    Raises:
        ConfigError: with every problem of the file.
        InputError: the file cannot be read, or an override leads nowhere.
    """
    path = FilePath(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        near = sorted(p.name for p in path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
        raise InputError(f"{path}: no such file{did_you_mean(path.name, near)}") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, not a pipeline file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    return parse_pipeline(text, str(path), overrides)


def parse_pipeline(text: str, file: str = "pipeline", overrides: Sequence[str] = ()) -> Pipeline:
    """Check a pipeline given as YAML text; `file` is its name in messages. See `load_pipeline`."""
    source = read_source(text, file)
    apply_overrides(source, overrides)
    pipeline, builder = _Loader(source).load()
    if builder.problems or pipeline is None:
        raise ConfigError(file, builder.problems, text)
    return pipeline


class _Loader:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.builder = Builder(source)
        self.paths: dict[int, Path] = {}
        self.kept: list[Node] = []  # so that an id() in `paths` stays that node's

    def load(self) -> tuple[Pipeline | None, Builder]:
        builder, data = self.builder, self.source.data
        if not isinstance(data, dict):
            shown = f"a pipeline file is a mapping of sections ({', '.join(SECTIONS)}), not {show(data)}"
            builder.complain(
                (), shown if data is not None else "the file is empty; `ragkit init` writes one to start from"
            )
            return None, builder
        misspelt = builder.unknown_keys(data, SECTIONS, (), "")
        name = data.get("name", FilePath(self.source.file).stem)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            builder.complain(("name",), f"must be a text that can name a folder, not {show(name)}", "name")
        models = self._models(data.get("models"))
        index = self._single("index", data.get("index"), registry.indexes)
        memory = self._single("memory", data.get("memory"), registry.memories)
        run = self._run(data.get("run"))
        if "pipeline" not in data:
            if "pipeline" not in misspelt:
                builder.complain((), f"missing key 'pipeline', the list of steps ({_STEP})")
            return None, builder
        nodes = self.steps(data["pipeline"], ("pipeline",))
        check_sequence(nodes, INITIAL_FIELDS, self._misfit)
        if builder.problems:
            return None, builder
        return Pipeline(nodes, name=name, models=models, index=index, memory=memory, run=run), builder

    def _misfit(self, node: Node, message: str) -> None:
        path = self.paths[id(node)]
        self.builder.complain(path, message, str(path[-1]), at_key=True)

    def _models(self, data: Any) -> dict[str, Resource]:
        builder = self.builder
        entries = builder.mapping(data, ("models",), "models")
        if entries is None:
            builder.readable = False
            return {}
        iter(registry.indexes)  # imports them: as providers, they are further indexes
        builder.declared |= entries.keys()
        # A further index stands on encoders, wherever in the file they are.
        for name, settings in sorted(entries.items(), key=lambda entry: _is_index(entry[1])):
            path, where = ("models", name), f"models.{name}"
            if name in SINGLE:
                builder.complain(path, f"'{name}' names the {name}; call the model something else", where, at_key=True)
                continue
            values = builder.mapping(settings, path, where)
            if values is None:
                continue
            cls = choose(builder, registry.models, values, "provider", path, where)
            if cls is not None:
                rest = {key: value for key, value in values.items() if key != "provider"}
                model = builder.component(cls, rest, path, where, besides=("provider",))
                if model is not None:
                    builder.resources[name] = model
        return dict(builder.resources)

    def _single(self, name: Category, data: Any, known: registry.Registry) -> Resource | None:
        """Build the index or the memory, if the file has one."""
        builder = self.builder
        if data is None:
            return None
        builder.declared.add(name)
        values = builder.mapping(data, (name,), name)
        if values is None:
            return None
        cls = choose(builder, known, {"type": SINGLE[name], **values}, "type", (name,), name)
        if cls is None:
            return None
        rest = {key: value for key, value in values.items() if key != "type"}
        part: Resource | None = builder.component(cls, rest, (name,), name, besides=("type",))
        if part is not None:
            builder.resources[name] = part
        return part

    def _run(self, data: Any) -> Any:
        """Build the settings of a run; its judges are of several kinds, so each names its type."""
        given = data.get("judges") if isinstance(data, dict) else None
        if given is None:
            return self.builder.component(RunSettings, data, ("run",), "run")
        builder, path = self.builder, ("run", "judges")
        built: dict[str, Any] = {}
        for name, settings in (builder.mapping(given, path, "run.judges") or {}).items():
            here, where = (*path, name), f"run.judges.{name}"
            if not isinstance(name, str) or not _JUDGE.fullmatch(name):
                message = f"a judge's name has letters, digits, - and _, not {show(name)}"
                builder.complain(here, message, where, at_key=True)
                continue
            values = builder.mapping(settings, here, where)
            cls = None if values is None else choose(builder, registry.judges, values, "type", here, where)
            if cls is not None and values is not None:
                rest = {key: value for key, value in values.items() if key != "type"}
                built[name] = builder.component(cls, rest, here, where, besides=("type",))
        ready = {name: judge for name, judge in built.items() if judge is not None}
        return builder.component(RunSettings, data, ("run",), "run", judges=ready)

    def steps(self, data: Any, path: Path) -> tuple[Node, ...]:
        """Build a list of steps; a step that cannot be built is an `_Unbuilt` one, so that the rest is checked too."""
        if not isinstance(data, list) or not data:
            shown = "an empty list" if data == [] else show(data)
            self.builder.complain(path, f"must be a list of steps ({_STEP}), not {shown}", str(path[-1]))
            return (_Unbuilt(),)
        return tuple(self.step(item, (*path, n)) for n, item in enumerate(data))

    def step(self, item: Any, path: Path) -> Node:
        """Build one step: a mapping with the stage's or control's name as its only key."""
        builder = self.builder
        if not isinstance(item, dict) or len(item) != 1:
            builder.complain(path, _not_a_step(item))
            return _Unbuilt()
        ((name, settings),) = item.items()
        path = (*path, name)
        node: Node
        if name in CONTROLS:
            node = self._control(name, settings, path)
        elif name in registry.stages:
            node = self._stage(name, settings, path)
        else:
            hint = did_you_mean(name, [*registry.stages, *CONTROLS])
            builder.complain(path, f"unknown stage '{name}'{hint} (`ragkit stages` lists them)", at_key=True)
            node = _Unbuilt()
        self.paths[id(node)] = path
        self.kept.append(node)
        return node

    def _stage(self, name: str, settings: Any, path: Path) -> Node:
        builder, cls = self.builder, registry.stages[name]
        values = builder.mapping(settings, path, name)
        if values is None:
            return _Unbuilt(writes=cls.writes)
        step_id = values.get("id", name)
        if not isinstance(step_id, str) or not step_id or "#" in step_id:
            builder.complain((*path, "id"), f"must be a text without '#', not {show(step_id)}", f"{name}.id")
            step_id = name
        rest = {key: value for key, value in values.items() if key != "id"}
        for part, kind in ((part, NAMES[part]) for part in SINGLE if part in cls.model_fields and part not in rest):
            if part not in builder.declared:
                builder.complain(path, f"needs {kind}, but the file has no section '{part}'", name, at_key=True)
                builder.declared.add(part)  # said once
            rest[part] = part  # a pipeline has one of them, so a stage need not name it
        stage = builder.component(cls, rest, path, name, besides=("id",))
        return _Unbuilt(writes=cls.writes) if stage is None else Step(stage=stage, id=step_id)

    def _control(self, name: str, settings: Any, path: Path) -> Node:
        cls = CONTROLS[name]
        values = self.builder.mapping(settings, path, name)
        if values is None:
            return _Unbuilt()
        ready: dict[str, Any] = {}
        for key, field in (("do", "do"), ("then", "then"), ("else", "otherwise")):
            if field in cls.model_fields and key in values:
                ready[field] = self.steps(values[key], (*path, key))
        if "branches" in cls.model_fields and "branches" in values:
            branches = self.builder.mapping(values["branches"], (*path, "branches"), f"{name}.branches") or {}
            ready["branches"] = {key: self.steps(do, (*path, "branches", key)) for key, do in branches.items()}
        node: Node | None = self.builder.component(cls, values, path, name, **ready)
        return node or _Unbuilt()


def _is_index(settings: Any) -> bool:
    """Say whether an entry of `models` is a further index."""
    provider = settings.get("provider") if isinstance(settings, dict) else None
    return isinstance(provider, str) and provider in registry.models and registry.models[provider].category == "index"


def _not_a_step(item: Any) -> str:
    """Return what is wrong with a list item that is no step."""
    rule = f"a step is one name with its settings ({_STEP})"
    if isinstance(item, str):
        return f"{rule}; with no settings to give, write '- {item}:'"
    if isinstance(item, dict) and item:
        keys = " and ".join(f"'{key}'" for key in item)
        return f"{rule}, but here stand {keys}; indent the settings below the name, give each step a '-' of its own"
    return f"{rule}, not {'an empty mapping' if item == {} else show(item)}"


class _Unbuilt(Node):
    """Stands where a step could not be built; may have written anything, unless its stage is known."""

    writes: tuple[str, ...] = (ANYTHING,)

    def check(self, known: Known, complain: Complain) -> Known:
        return known | self.written()

    def written(self) -> Known:
        return frozenset(self.writes)

    async def run(self, state: State, trace: Trace, scope: str = "") -> None:
        raise AssertionError("a pipeline with problems is never run")
