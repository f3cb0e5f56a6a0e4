"""`ragkit schema`: what editors check a file with."""

import json
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from valid_pipeline import VALID

from ragkit.config.load import load_pipeline
from ragkit.config.schema import pipeline_schema
from ragkit.errors import InputError

HERE = Path(__file__).parent
PIPELINES = [path for path in sorted((HERE.parents[1] / "pipelines").rglob("*.yaml")) if path.parent.name != "tuning"]

BEYOND_A_SCHEMA = {
    "reads",  # what stages read and write
    "branch-sides", "loop-condition", "condition-two", "condition-no", "each-over", "each-writes", "parallel",
    "undeclared", "wrong-kind", "model-called", "retrieve-without", "index-key",  # what is declared
    "filter-without", "part-that", "hybrid-of", "weight-of",  # what the index has
    "index-without", "bad-chunking", "bad-rule", "bad-step-id", "bad-name",  # what validators say
    "unknown-metric", "metric-without", "unknown-prompt",
    "duplicate-key",
}  # fmt: skip


class Loader(yaml.SafeLoader):
    """Reads `on` as text, as YAML 1.2 and so editors do."""


Loader.yaml_implicit_resolvers = {
    sign: [(tag, pattern) for tag, pattern in resolvers if not (tag.endswith(":bool") and sign in "oOyYnN")]
    for sign, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def data_of(text):
    return yaml.load(text, Loader)


@pytest.fixture
def validator(registries):
    return Draft202012Validator(pipeline_schema())


def test_it_is_a_schema(validator):
    Draft202012Validator.check_schema(validator.schema)


def test_everything_that_is_installed_has_a_schema(installed):
    schema = pipeline_schema()
    Draft202012Validator.check_schema(schema)
    assert {"answer.read", "retrieve.hybrid", "loop", "parallel"} <= schema["$defs"]["step"]["properties"].keys()
    json.dumps(schema)


def test_every_reference_leads_somewhere(validator):
    text = json.dumps(validator.schema)
    for reference in {part.partition('"')[0] for part in text.split('"$ref": "')[1:]}:
        assert reference.startswith("#/$defs/")
        assert reference.removeprefix("#/$defs/") in validator.schema["$defs"]


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_the_pipelines_are_accepted(installed, path):
    load_pipeline(path)
    Draft202012Validator(pipeline_schema()).validate(data_of(path.read_text(encoding="utf-8")))


def test_the_starter_is_accepted(installed):
    starter = files("ragkit.cli").joinpath("starter.yaml").read_text(encoding="utf-8")
    Draft202012Validator(pipeline_schema()).validate(data_of(starter))


def test_a_file_with_every_construct_is_accepted(validator):
    errors = [f"{error.json_path}: {error.message:.200}" for error in validator.iter_errors(data_of(VALID))]
    # a merge key is spelt out by the loader, so `strict` has a provider
    assert errors == []


def test_broken_keys_and_types_are_rejected(validator):
    checked = 0
    for path in sorted((HERE / "broken").glob("*.yaml")):
        name = path.stem.partition("-")[2]
        if any(name.startswith(beyond) for beyond in BEYOND_A_SCHEMA):
            continue
        try:
            data = data_of(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, TypeError, RecursionError):
            continue  # no YAML at all
        if name in {"alias-bomb", "alias-of-itself", "non-text-key"}:
            continue
        assert not validator.is_valid(data), path.name
        checked += 1
    assert checked >= 35


@pytest.mark.parametrize(
    "step",
    [{"answer.read": {"model": "reader", "k": 1}}, {"answer.raed": {}}, {"answer.read": None}, "answer.read", {}],
)
def test_broken_steps_are_rejected(validator, step):
    assert not validator.is_valid({"pipeline": [step]})


def test_what_the_schema_accepts_beyond_the_loader_is_named(validator, monkeypatch):
    """A broken file that the schema accepts is one of those that no schema can refuse."""
    monkeypatch.chdir(HERE / "broken")
    for path in sorted(Path().glob("*.yaml")):
        name = path.stem.partition("-")[2]
        if any(name.startswith(beyond) for beyond in BEYOND_A_SCHEMA):
            with pytest.raises(InputError):
                load_pipeline(path)
