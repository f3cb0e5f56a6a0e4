"""Recipes: mistakes are named with their place, all at once; the model begins as the recipe says."""

import re

import pytest

from ragkit.config.problems import ConfigError
from ragkit.errors import InputError
from ragkit.tuning.recipe import load_recipe

PIPELINE = """
models:
  reader: {provider: transformers, model: base, adapter: old, merge: true}
  far: {provider: scripted, default: x}
index: {documents: ["*.jsonl"], sparse: {}}
pipeline:
  - retrieve.sparse: {k: 2}
  - answer.read: {model: reader}
"""
RECIPE = """
pipeline: p.yaml
model: reader
sets: {one: {documents: ["c.jsonl"], questions: q.jsonl}}
data: {builder: reader}
objective: {type: sft}
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text(PIPELINE)
    return tmp_path


def load(here, text, *overrides):
    (here / "r.yaml").write_text(text)
    return load_recipe(here / "r.yaml", overrides)


def test_the_model_begins_without_the_adapter_that_its_pipeline_has(here):
    recipe = load(here, RECIPE)
    assert recipe.name == "r" and recipe.model.adapter is None and not recipe.model.merge
    assert recipe.training.batch_size == 8 and recipe.gate.metric == "f1"


def test_the_model_begins_with_the_adapter_to_start_from(here):
    (here / "begun").mkdir()
    (here / "begun" / "adapter_config.json").write_text("{}")
    assert load(here, RECIPE, "adapter.start=begun").model.adapter == "begun"


def test_overrides_reach_the_recipe_and_the_pipeline(here):
    recipe = load(here, RECIPE, "training.steps=7", "models.reader.dtype=float32")
    assert recipe.training.steps == 7 and recipe.model.dtype == "float32"
    assert "models.reader.dtype=float32" in recipe.overrides


def test_every_mistake_is_named_with_its_place(here):
    wrong = RECIPE.replace("type: sft", "type: stf") + "training: {stesp: 3, epochs: many}\ngaet: {}\nadapter: {r: 0}\n"
    with pytest.raises(ConfigError) as caught:
        load(here, wrong)
    told = str(caught.value)
    assert "r.yaml:6:19: objective: unknown type 'stf', did you mean 'sft'?" in told
    assert "unknown key 'stesp', did you mean 'steps'?" in told
    assert "training.epochs: must be a number" in told
    assert "unknown key 'gaet', did you mean 'gate'?" in told
    assert "adapter.r: must be" in told
    assert "5 problems in" in told


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("model: reader", "model: raeder"), "has no model 'raeder', did you mean 'reader'?"),
        (("model: reader", "model: far"), "whose weights are not on this machine"),
        (("builder: reader", "builder: raeder"), "unknown builder 'raeder', did you mean 'reader'?"),
        (("data: {builder: reader}", "data: {}"), "missing key 'builder' (choose one of:"),
        (("{type: sft}", "{type: sft, half: true}"), "adapter type lora freezes"),
        (("sets: {one:", "sets: {}\nold: {one:"), "names no question set"),
        (("builder: reader", "builder: reader, select: s3ft"), "must be a list of selectors"),
        (("pipeline: p.yaml", "name: x"), "missing key 'pipeline'"),
        (("questions: q.jsonl", "question: q.jsonl"), "unknown key 'question', did you mean 'questions'?"),
    ],
)
def test_a_mistake_is_told(here, change, said):
    with pytest.raises(InputError, match=re.escape(said)):
        load(here, RECIPE.replace(*change))


def test_files_that_are_not_there(here):
    with pytest.raises(InputError, match="no such file"):
        load_recipe(here / "none.yaml")
    with pytest.raises(InputError, match="no such file"):
        load(here, RECIPE.replace("p.yaml", "q.yaml"))
    with pytest.raises(ConfigError, match="a recipe is a mapping of sections"):
        load(here, "- a list")


def test_broken_mistakes_of_the_pipeline_are_its_own(here):
    (here / "p.yaml").write_text(PIPELINE.replace("k: 2", "l: 2"))
    with pytest.raises(ConfigError, match=r"p\.yaml:7:\d+: retrieve\.sparse"):
        load(here, RECIPE)
