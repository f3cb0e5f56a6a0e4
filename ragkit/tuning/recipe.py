"""Recipes: a YAML file that says what is tuned, on what data, how, and what the result has to prove."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from pydantic import Field

from ragkit.config.build import Builder
from ragkit.config.choose import choose
from ragkit.config.messages import show
from ragkit.config.overrides import apply_overrides
from ragkit.config.problems import ConfigError, Path
from ragkit.config.source import Source, read_source
from ragkit.engine import registry
from ragkit.engine.component import Component
from ragkit.errors import InputError, did_you_mean
from ragkit.evaluation.question_sets import QuestionSet
from ragkit.models.adapters import adapter_folder
from ragkit.models.local_weights import LocalWeights
from ragkit.pipeline import Pipeline
from ragkit.tuning.data import DataBuilder, Selector
from ragkit.tuning.gate import GateSettings
from ragkit.tuning.job import AdapterSettings, Objective, TrainingSettings

SECTIONS = ("name", "pipeline", "model", "sets", "data", "objective", "adapter", "training", "gate")


class RecipeSettings(Component):
    """The plain values of a recipe."""

    name: str = Field(min_length=1, description="what the result is called; by default the file's name")
    pipeline: str = Field(min_length=1, description="YAML file of the pipeline that the model works in")
    model: str = Field(min_length=1, description="which of the pipeline's models is tuned")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A checked recipe.

    Attributes:
        file: where it was read from.
        settings: its plain values.
        data: the file's content with all changes from outside, as plain data.
        pipeline: the pipeline, over the documents that its file names; sets bring their own.
        model: the model that is tuned, as it is when the training begins: with the adapter to start from, or none.
        sets: question sets by name.
        builder: makes the rows.
        selectors: choose among them, one after the other.
        objective: what is optimised.
        overrides: changes of the pipeline's settings that every loading of it needs: the model with the adapter that
            the training begins with.
    """

    file: FilePath
    settings: RecipeSettings
    data: Mapping[str, Any]
    pipeline: Pipeline
    model: LocalWeights
    sets: Mapping[str, QuestionSet]
    builder: DataBuilder
    selectors: Sequence[Selector]
    objective: Objective
    adapter: AdapterSettings
    training: TrainingSettings
    gate: GateSettings
    overrides: Sequence[str]

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.settings.name


def load_recipe(path: FilePath, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe and the pipeline that it names.

    Args:
        path: the YAML file. Paths inside it are relative to the current folder.
        overrides: changes of the form `training.steps=100`; those of no section of the recipe change the pipeline.

    Raises:
        ConfigError: with every problem of the file, or of the pipeline's.
        InputError: a file cannot be read, or an override leads nowhere.
    """
    try:
        source = read_source(path.read_text(encoding="utf-8-sig"), str(path))
    except FileNotFoundError:
        near = sorted(p.name for p in path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
        raise InputError(f"{path}: no such file{did_you_mean(path.name, near)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    own = [override for override in overrides if override.partition("=")[0].partition(".")[0] in SECTIONS]
    apply_overrides(source, own, SECTIONS)
    return _Loader(path, source, [override for override in overrides if override not in own]).load()


def _changes_weights(objective: Any) -> bool:
    """Say whether the objective that a recipe names changes weights; an unknown one is complained about elsewhere."""
    kind = objective.get("type") if isinstance(objective, dict) else None
    return not (isinstance(kind, str) and kind in registry.objectives) or bool(registry.objectives[kind].weights)


class _Loader:
    def __init__(self, path: FilePath, source: Source, of_pipeline: list[str]) -> None:
        self.path = path
        self.source = source
        self.of_pipeline = of_pipeline
        self.builder = Builder(source)

    def load(self) -> Recipe:
        builder, data = self.builder, self.source.data
        if not isinstance(data, dict):
            builder.complain((), f"a recipe is a mapping of sections ({', '.join(SECTIONS)}), not {show(data)}")
            raise self._problems()
        builder.unknown_keys(data, SECTIONS, (), "")
        plain = {"name": self.path.stem} | {key: data[key] for key in ("name", "pipeline", "model") if key in data}
        settings = builder.component(RecipeSettings, plain, (), "recipe")
        if settings is None:
            raise self._problems()
        adapter = builder.component(AdapterSettings, data.get("adapter"), ("adapter",), "adapter")
        pipeline, model = self._pipeline(
            settings, None if adapter is None else adapter.start, _changes_weights(data.get("objective"))
        )
        sets = {
            name: builder.component(QuestionSet, value, ("sets", name), f"sets.{name}")
            for name, value in (builder.mapping(data.get("sets"), ("sets",), "sets") or {}).items()
        }
        if not sets:
            builder.complain(("sets",), "names no question set", at_key=True)
        rows, selectors = self._data(data.get("data"))
        objective = self._part(registry.objectives, data.get("objective"), "type", ("objective",), "objective")
        training = builder.component(TrainingSettings, data.get("training"), ("training",), "training")
        gate = builder.component(GateSettings, data.get("gate"), ("gate",), "gate")
        if not builder.problems:
            self._fit(rows, objective, adapter, model, gate, pipeline)
        if builder.problems:
            raise self._problems()
        return Recipe(
            self.path, settings, data, pipeline, model, sets, rows, selectors, objective, adapter, training, gate,
            self.of_pipeline,
        )  # fmt: skip

    def _pipeline(self, settings: RecipeSettings, start: str | None, weights: bool) -> tuple[Pipeline, Any]:
        """Return the pipeline with the model as it is when the training begins, and that model.

        The pipeline's models may be named in the recipe then.
        """
        try:
            pipeline = Pipeline.load(settings.pipeline, self.of_pipeline)
        except InputError as error:
            if isinstance(error, ConfigError) or not self.of_pipeline:
                raise
            raise InputError(f"{error}; a change of the recipe itself starts with: {', '.join(SECTIONS)}") from None
        known = {name: model for name, model in pipeline.models.items() if model.category != "index"}
        self.builder.resources.update(pipeline.models)
        self.builder.declared |= pipeline.models.keys()
        model = known.get(settings.model)
        if model is None:
            hint = did_you_mean(settings.model, known)
            message = f"{settings.pipeline} has no model '{settings.model}'{hint} (it has: {', '.join(known)})"
            self.builder.complain(("model",), message, "model")
        elif not weights:
            pass
        elif not isinstance(model, LocalWeights):
            message = f"'{settings.model}' is {type(model).__name__}, whose weights are not on this machine"
            self.builder.complain(("model",), message, "model")
        elif getattr(model, "adapter", start) != start or getattr(model, "merge", False):
            unmerged = [f"models.{settings.model}.merge=false"] if "merge" in type(model).model_fields else []
            self.of_pipeline += [f"models.{settings.model}.adapter={json.dumps(start)}", *unmerged]
            return self._pipeline(settings, start, weights)
        return pipeline, model

    def _data(self, data: Any) -> tuple[Any, list[Any]]:
        values = self.builder.mapping(data, ("data",), "data")
        if values is None:
            return None, []
        chosen = values.get("select") or []
        if not isinstance(chosen, list):
            self.builder.complain(("data", "select"), f"must be a list of selectors, not {show(chosen)}", "data.select")
            chosen = []
        selectors = [
            self._part(registry.selectors, item, "type", ("data", "select", n), f"data.select, item {n + 1}")
            for n, item in enumerate(chosen)
        ]
        return self._part(registry.builders, values, "builder", ("data",), "data", besides=("select",)), selectors

    def _part(
        self, known: registry.Registry, data: Any, key: str, path: Path, where: str, besides: Sequence[str] = ()
    ) -> Any:
        """Build a part of which `key` names the class, or complain and return None."""
        values = self.builder.mapping(data, path, where)
        cls = None if values is None else choose(self.builder, known, values, key, path, where)
        if cls is None or values is None:
            return None
        rest = {name: value for name, value in values.items() if name not in (key, *besides)}
        return self.builder.component(cls, rest, path, where, besides=(key, *besides))

    def _fit(
        self,
        rows: DataBuilder,
        objective: Objective,
        adapter: AdapterSettings,
        model: Any,
        gate: GateSettings,
        pipeline: Pipeline,
    ) -> None:
        """See that builder, objective, adapter, model, pipeline and gate go together."""
        if not issubclass(rows.makes, objective.rows):
            made, wanted = rows.makes.__name__, objective.rows.__name__
            self.builder.complain(
                ("data", "builder"), f"makes rows of the kind {made}, but the objective needs {wanted}"
            )
        if model.category != objective.trains:
            self.builder.complain(("model",), f"is a {model.category}, but the objective trains a {objective.trains}")
        if adapter.start is not None:
            try:
                adapter_folder(adapter.start)
            except InputError as error:
                self.builder.complain(("adapter", "start"), str(error), "adapter.start")
        try:
            objective.check(adapter)
        except InputError as error:
            self.builder.complain(("objective",), str(error))
        if not objective.gated:
            return
        try:
            for judged in (pipeline, *([Pipeline.load(gate.baseline)] if gate.baseline else [])):
                gate.check(judged)
        except InputError as error:
            self.builder.complain(("gate",), str(error))

    def _problems(self) -> ConfigError:
        return ConfigError(str(self.path), self.builder.problems, self.source.text)
