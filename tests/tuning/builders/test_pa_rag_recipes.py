"""The recipes of PA-RAG's stages."""

from pathlib import Path

import pytest

from ragkit.tuning.recipe import load_recipe

ROOT = Path(__file__).parents[3]
STAGES = ("sft", "dpo_informativeness", "dpo_robustness", "dpo_citation")


@pytest.fixture(autouse=True)
def trained_so_far(monkeypatch, tmp_path):
    """A folder with the pipelines, in which every stage has left an adapter."""
    (tmp_path / "pipelines").symlink_to(ROOT / "pipelines")
    for stage in STAGES:
        adapter = tmp_path / "runs" / "tuning" / f"pa_rag_{stage}" / "adapter"
        adapter.mkdir(parents=True)
        (adapter / "adapter_config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def recipes():
    return {stage: load_recipe(Path(f"pipelines/tuning/pa_rag_{stage}.yaml")) for stage in STAGES}


def test_each_stage_goes_on_from_the_one_before(recipes):
    starts = [recipes[stage].adapter.start for stage in STAGES]
    assert starts == [None, *(f"runs/tuning/pa_rag_{stage}/adapter" for stage in STAGES[:-1])]


def test_nothing_is_trained_on_triviaqa_and_every_stage_uses_one_pipeline(recipes):
    assert {recipe.settings.pipeline for recipe in recipes.values()} == {"pipelines/pa_rag.yaml"}
    assert not any("trivia" in name for recipe in recipes.values() for name in recipe.sets)


def test_rates_fall_from_stage_to_stage(recipes):
    rates = [recipes[stage].training.learning_rate for stage in STAGES]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize(
    ("stage", "change"),
    [
        ("dpo_informativeness", "data.pairs=[informativeness,robustness,citation]"),  # one joint stage
        ("dpo_robustness", "data.pairs=[robustness]"),  # without abstention, as in the paper
        ("dpo_robustness", "adapter.start=runs/tuning/pa_rag_sft/adapter"),  # before informativeness
        ("sft", "data.scenarios=[golden+noise]"),  # robustness by SFT
        ("sft", "data.golden=answers"),  # golden passages as in the paper
    ],
)
def test_the_paper_s_ablations_are_a_change_of_a_recipe(stage, change):
    load_recipe(Path(f"pipelines/tuning/pa_rag_{stage}.yaml"), [change])
