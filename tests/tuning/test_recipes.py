"""Recipes: those of the repository load, and editors' schema takes and refuses what the loader does."""

from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from ragkit.tuning.recipe import load_recipe
from ragkit.tuning.schema import recipe_schema

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "pipelines" / "tuning").glob("*.yaml"))


@pytest.fixture(scope="module")
def validator():
    schema = recipe_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipes_of_the_repository_are_valid(path, monkeypatch, validator):
    monkeypatch.chdir(ROOT)
    recipe = load_recipe(path, ["adapter.start=null"])  # what another recipe makes is not there
    assert recipe.name == path.stem
    errors = [f"{e.json_path}: {e.message:.300}" for e in validator.iter_errors(yaml.safe_load(path.read_text()))]
    assert errors == []


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("objective", {"type": "stf"}),
        ("objective", {}),
        ("data", {"builder": "reader", "gould": 1}),
        ("data", {"builder": "reader", "select": {"type": "s3ft"}}),
        ("training", {"steps": "many"}),
        ("adapter", {"type": "lore"}),
        ("gate", {"guards": {"f1": -1}}),
        ("sets", {}),
        ("base", {"model": "x"}),
    ],
)
def test_mistakes_are_refused_by_the_schema(validator, section, value):
    recipe = yaml.safe_load((ROOT / "pipelines" / "tuning" / "reader.yaml").read_text())
    assert validator.is_valid(recipe)
    assert not validator.is_valid(recipe | {section: value})
