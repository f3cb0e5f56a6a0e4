"""The registries as these tests see them: fixed, so that messages and fuzzing do not depend on what else is there."""

import textwrap

import pytest

import ragkit.prompts
from ragkit.engine import registry
from ragkit.engine.stage import Stage, stage
from ragkit.models import scripted
from ragkit.models.base import LanguageModel

STAGES = (
    "answer.read", "context.pack", "rerank.cross_encoder", "retrieve.dense", "retrieve.hybrid", "retrieve.multi_vector",
    "retrieve.sparse",
)  # fmt: skip
METRICS = ("em", "f1", "hit", "recall", "searches", "tokens")


@stage("test.rewrite", writes="queries")
class Rewrite(Stage):
    """Write queries."""

    model: LanguageModel
    variants: int = 2

    async def run(self, question):
        return (question,)


@stage("test.note", writes="vars.note")
async def note(question):
    """Write a variable; takes no settings."""
    return question


for own in ("test.rewrite", "test.note"):  # known inside the fixture only
    del registry.stages._parts[own]


@pytest.fixture
def registries(monkeypatch, tmp_path):
    """Hold only the parts that the tests name, whatever else is installed."""
    models = {
        "hash": scripted.HashEncoder,
        "overlap": scripted.OverlapReranker,
        "scripted": scripted.ScriptedModel,
    }
    stages = {name: registry.stages[name] for name in STAGES} | {"test.rewrite": Rewrite, "test.note": note}
    metrics = {name: registry.metrics[name] for name in METRICS}
    for known, parts in ((registry.models, models), (registry.stages, stages), (registry.metrics, metrics)):
        list(known)  # discover first
        monkeypatch.setattr(known, "_parts", parts)
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    for name in ("answer.read", "answer.read.few_shot"):
        (prompts / f"{name}.jinja").write_text("{{ question }}")
    monkeypatch.setattr(ragkit.prompts, "_FOLDER", prompts)


@pytest.fixture
def installed(monkeypatch):
    """Hold ragkit's own parts only: other tests register theirs in the same process."""
    for known in (registry.stages, registry.models, registry.indexes, registry.metrics, registry.judges):
        own = {name: known[name] for name in known if known[name].__module__.startswith("ragkit.")}
        monkeypatch.setattr(known, "_parts", own)


@pytest.fixture
def write(tmp_path):
    """Write a pipeline file."""

    def write_file(text, name="pipeline.yaml"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write_file
