"""The recipes of PA-RAG's stages."""

from pathlib import Path

import pytest

from ragkit.config.problems import ConfigError
from ragkit.tuning.recipe import load_recipe

ROOT = Path(__file__).parents[3]
STAGES = ("sft", "dpo_informativeness", "dpo_robustness", "dpo_citation")


@pytest.fixture(autouse=True)
def root(monkeypatch):
    monkeypatch.chdir(ROOT)


def load(stage, *changes):
    return load_recipe(Path(f"pipelines/tuning/pa_rag_{stage}.yaml"), ["adapter.start=null", *changes])


@pytest.mark.parametrize(("stage", "before"), list(zip(STAGES[1:], STAGES[:-1], strict=True)))
def test_a_stage_goes_on_from_the_one_before_and_is_refused_without(stage, before):
    with pytest.raises(ConfigError, match=f"adapter 'runs/tuning/pa_rag_{before}/adapter' is not a folder"):
        load_recipe(Path(f"pipelines/tuning/pa_rag_{stage}.yaml"))


def test_nothing_is_trained_on_triviaqa_and_every_stage_uses_one_pipeline():
    recipes = [load(stage) for stage in STAGES]
    assert {recipe.settings.pipeline for recipe in recipes} == {"pipelines/pa_rag.yaml"}
    assert not any("trivia" in name for recipe in recipes for name in recipe.sets)


def test_rates_fall_from_stage_to_stage():
    rates = [load(stage).training.learning_rate for stage in STAGES]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize(
    ("stage", "change", "setting"),
    [
        # one joint stage
        (
            "dpo_informativeness",
            "data.pairs=[informativeness,robustness,citation]",
            ("pairs", ("informativeness", "robustness", "citation")),
        ),
        ("dpo_robustness", "data.pairs=[robustness]", ("pairs", ("robustness",))),  # without abstention
        ("sft", "data.scenarios=[golden+noise]", ("scenarios", ("golden+noise",))),  # robustness by SFT
        ("sft", "data.golden=answers", ("golden", "answers")),  # golden passages as in the paper
    ],
)
def test_the_paper_s_ablations_are_a_change_of_a_recipe(stage, change, setting):
    name, value = setting
    assert getattr(load(stage, change).builder, name) == value
