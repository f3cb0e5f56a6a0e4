"""Everything that the results of a run depend on, written out: `run.lock.yaml`."""

import hashlib
import importlib.metadata
import platform
from collections.abc import Mapping
from types import CodeType
from typing import Any

from ragkit.config.dump import to_data
from ragkit.engine.component import Component
from ragkit.engine.controls import steps_of
from ragkit.engine.run import parts
from ragkit.errors import InputError
from ragkit.index import LocalIndex
from ragkit.pipeline import Pipeline
from ragkit.prompts import prompt_file, prompts_of

_NOT_IN_RESULTS = ("cache", "in_flight", "questions", "limit")
"""Settings that a run may change when it is resumed: they alter no prediction, or are recorded otherwise."""
_PACKAGES = ("ragkit", "torch", "transformers", "sentence-transformers", "faiss-gpu", "faiss-cpu", "bm25s", "pymupdf")


def make_lock(pipeline: Pipeline, questions: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything that the results depend on, every default written out."""
    try:
        data = to_data(pipeline, defaults=True)
    except InputError as error:  # parts that exist in Python only
        data = {"name": pipeline.name, "python_only": str(error), "parts": _parts_in_words(pipeline)}
    prompts = {
        name: hashlib.sha256(prompt_file(name).read_bytes()).hexdigest()
        for part in parts([*pipeline.nodes, *pipeline.settings.judges.values()])
        for name in prompts_of(part)
    }
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    used = pipeline.resources  # a model that is only declared need not be there
    fingerprints = {
        name: model.fingerprint() for name, model in pipeline.models.items() if any(model is part for part in used)
    }
    single = {"index": pipeline.index, "memory": pipeline.memory}
    fingerprints |= {name: part.fingerprint() for name, part in single.items() if part is not None}
    devices: dict[str, str] = {}
    if isinstance(pipeline.index, LocalIndex):
        pipeline.index.ensure_open()
        devices = pipeline.index.devices
    run = {key: value for key, value in data.get("run", {}).items() if key not in _NOT_IN_RESULTS}
    return data | {
        "run": run,
        "questions": dict(questions),
        "fingerprints": fingerprints,
        "devices": devices,
        "prompts": prompts,
        "versions": {"python": platform.python_version()} | versions,
    }


def _parts_in_words(pipeline: Pipeline) -> list[dict[str, str]]:
    """Return the settings of a pipeline that YAML cannot express; the same in every process."""
    found: list[Component] = [*steps_of(pipeline.nodes), *parts(pipeline.nodes), pipeline.settings]
    return [
        {"type": type(part).__qualname__}
        | {name: _words(getattr(part, name)) for name, field in type(part).model_fields.items() if not field.exclude}
        for part in found
    ]


def _words(value: Any) -> str:
    """Return a setting as text: functions by their code, objects that say no more than where they are by their type."""
    code = getattr(value, "__code__", None)
    if isinstance(code, CodeType):
        return f"{value.__qualname__} {_digest(code)}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_words(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_words, value)) + "]"
    if isinstance(value, (set, frozenset)):
        return "{" + ", ".join(sorted(map(_words, value))) + "}"
    if isinstance(value, Component) or repr(value) == object.__repr__(value):
        return type(value).__qualname__
    return repr(value)


def _digest(code: CodeType) -> str:
    """Return a hash of a function's code, that of the functions inside it included."""
    constants = [_digest(item) if isinstance(item, CodeType) else _words(item) for item in code.co_consts]
    said = repr((code.co_names, constants)).encode("utf-8", "surrogatepass")
    return hashlib.sha256(code.co_code + said).hexdigest()
