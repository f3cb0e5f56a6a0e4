"""`--set path.to.key=value`."""

import pytest

from ragkit.config.load import parse_pipeline
from ragkit.engine.controls import steps_of
from ragkit.errors import InputError

TEXT = """\
models:
  reader: {provider: scripted, default: wheat}
  minilm: {provider: hash}
index:
  documents: [docs/a.txt]
  dense: {encoder: minilm}
pipeline:
  - retrieve.dense: {k: 5}
  - loop:
      max: 2
      do:
        - retrieve.dense:
        - branch:
            on: {field: question, contains: a}
            then: [{retrieve.dense: {id: wide, k: 50}}]
  - parallel:
      branches:
        one: [{retrieve.dense: {k: 1}}]
  - answer.read: {model: reader}
"""


def load(*overrides):
    return parse_pipeline(TEXT, "p.yaml", overrides)


def refusal(*overrides):
    with pytest.raises(InputError) as caught:
        load(*overrides)
    return str(caught.value)


@pytest.fixture(autouse=True)
def _fixed(registries):
    pass


def test_sections_that_the_file_has_not_are_made():
    pipeline = load("run.limit=20", "run.metrics=[em, recall@5]", "run.budget.tokens=100", "name=other")
    assert pipeline.settings.limit == 20
    assert pipeline.settings.metrics == ("em", "recall@5")
    assert pipeline.settings.budget.tokens == 100
    assert pipeline.name == "other"


def test_a_stage_name_reaches_every_step_of_that_name():
    found = [(step.id, step.stage.k) for step in steps_of(load("retrieve.dense.k=7").nodes) if step.id != "answer.read"]
    assert found == [("retrieve.dense", 7), ("retrieve.dense#2", 7), ("wide", 50), ("retrieve.dense#3", 7)]


def test_a_step_id_reaches_its_step():
    steps = {step.id: step.stage for step in steps_of(load("wide.k=9").nodes)}
    assert (steps["wide"].k, steps["retrieve.dense"].k) == (9, 5)


def test_models_can_be_changed_and_added():
    pipeline = load("models.reader.default=barley = 5", "models.judge={provider: scripted}", "answer.read.model=judge")
    assert pipeline.models["reader"].default == "barley = 5"
    assert list(steps_of(pipeline.nodes))[-1].stage.model is pipeline.models["judge"]


def test_later_ones_win():
    assert load("run.limit=1", "run.limit=2").settings.limit == 2


@pytest.mark.parametrize("value", ["null", "~", ""])
def test_a_setting_can_be_taken_away(value):
    assert load("run.limit=3", f"run.limit={value}").settings.limit is None


@pytest.mark.parametrize("override", ["run.limit", "=3", "", "retrieve.dense.k 5"])
def test_without_an_equals_sign(override):
    assert refusal(override) == f"--set {override}: write it as path.to.key=value"


def test_a_path_that_leads_nowhere():
    assert refusal("answer.raed.model=reader") == (
        "--set answer.raed.model=reader: 'answer.raed.model' names no section and no step, did you mean 'answer.read'? "
        "(it starts with: name, models, index, memory, run, retrieve.dense, wide, answer.read)"
    )
    assert "'limit' names no section and no step (" in refusal("limit=3")


def test_a_path_through_a_value():
    assert refusal("run.limit=3", "run.limit.x=4") == "--set run.limit.x=4: 'run.limit' is 3, which has no keys"
    assert refusal("index.documents.0=b") == "--set index.documents.0=b: 'index.documents' is a list, which has no keys"


@pytest.mark.parametrize("value", ["[1, 2", "{a", "!!python/name:os.system", "'x", "{a: 1, a: 2}"])
def test_a_value_that_is_no_yaml(value):
    message = refusal(f"run.limit={value}")
    assert message.startswith(f"--set run.limit={value}: ")
    assert "Traceback" not in message


def test_problems_are_shown_as_from_the_override():
    assert refusal("run.limit=0") == "p.yaml: run.limit: must be at least 1, not 0 (from --set run.limit=0)"
    assert refusal("answer.read.modle=x") == (
        "p.yaml: answer.read: unknown key 'modle', did you mean 'model'? (valid keys: id, model, prompt, "
        "max_new_tokens, abstain, contrast, without_passages, wording) (from --set answer.read.modle=x)"
    )
    assert refusal("answer.read.model=raeder") == (
        "p.yaml: answer.read.model: no model 'raeder' is declared, did you mean 'reader'? "
        "(declared as a language model: reader) (from --set answer.read.model=raeder)"
    )


def test_problems_of_override_and_file_are_reported_together():
    with pytest.raises(InputError) as caught:
        parse_pipeline(TEXT.replace("k: 50", "k: 0"), "p.yaml", ["run.limit=0"])
    assert [line.partition(": ")[0] for line in str(caught.value).splitlines() if line.startswith("p.yaml")] == [
        "p.yaml",
        "p.yaml:15:51",
    ]


def test_overriding_in_a_file_that_is_no_pipeline():
    with pytest.raises(InputError, match=r"p.yaml:1:1: the file is empty"):
        parse_pipeline("", "p.yaml", ["run.limit=3"])


def test_a_step_whose_id_is_nonsense_does_not_disturb():
    with pytest.raises(InputError, match="must be a text without '#', not a list"):
        parse_pipeline(TEXT.replace("id: wide", "id: [wide]"), "p.yaml", ["run.limit=3"])
