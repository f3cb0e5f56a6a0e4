"""Rows of RW-Steering and its baselines: the stages' own prompts, the labels of the mixtures, no question twice."""

from contextlib import contextmanager
from pathlib import Path

import pytest

from ragkit.errors import InputError
from ragkit.evaluation.question_sets import QuestionSet, pipeline_over, set_questions
from ragkit.evaluation.split import in_part
from ragkit.evaluation.steering.mixture import MixtureSettings
from ragkit.stages.steering.verdict import parse_verdict
from ragkit.tuning.builders.steering import SteerAlignedRows, SteerAwareRows, SteeredRows
from ragkit.tuning.data import BuildContext, TuningSet
from ragkit.tuning.recipe import load_recipe

ROOT = Path(__file__).parents[3]
STEPS = {
    "rw": "steer.rw: {model: reader, form: text}",
    "read": "answer.read: {model: reader, prompt: steer.answer}",
    "filter": "steer.filter: {model: reader}",
}
PIPELINE = """
models: {{reader: {{provider: scripted, default: "my own words"}}}}
index: {{documents: [corpus.jsonl], sparse: {{}}}}
pipeline:
  - retrieve.sparse: {{k: 10}}
  - {step}
run: {{metrics: [f1]}}
"""
TEN = MixtureSettings(fragments=10, order="shuffled", fill="others")


@pytest.fixture
def build(tmp_path, monkeypatch):
    monkeypatch.setenv("RAGKIT_HOME", str(tmp_path / "home"))
    folder = ROOT / "corpora" / "steering"
    own = QuestionSet(documents=("corpus.jsonl",), questions="questions.jsonl")
    asked = set_questions("steering", own, folder)
    file = tmp_path / "p.yaml"

    @contextmanager
    def opened(part):
        with pipeline_over(str(file), own, folder, []) as pipeline:
            pipeline.prepare(lambda *_: None)
            yield TuningSet("steering", pipeline, in_part(asked, part))

    def make(builder, step, part="train", **settings):
        file.write_text(PIPELINE.format(step=STEPS[step]))
        context = BuildContext({"steering": opened}, "reader", 7, tmp_path, lambda *_: None)
        return builder(**{"mixture": TEN, "types": ("non_factual",)} | settings).build(part, context)

    return make


def test_verdicts_follow_the_labels(build):
    rows = build(SteeredRows, "rw", bad=(1, 3), copies=2, none_bad=0.2, all_bad=0.2)
    assert {row.origin["bad"] for row in rows} == {0, 1, 3, 10}
    for row in rows:
        text = row.prompt[-1]["content"]
        lines = [line.partition(". ")[2] for line in text.splitlines() if line[:1].isdigit()]
        verdict = parse_verdict(row.completion, 10)
        assert not verdict.warnings and len(lines) == len(set(lines)) == 10
        assert len(verdict.unreliable) == row.origin["bad"]
        assert (verdict.answer == "unanswerable") == (not verdict.reliable)
    assert [row.completion for row in build(SteeredRows, "rw", bad=(1, 3), copies=2, none_bad=0.2, all_bad=0.2)] == [
        row.completion for row in rows
    ]


def test_positions_do_not_tell(build):
    rows = build(SteeredRows, "rw", bad=(3,), none_bad=0, all_bad=0)
    places = {parse_verdict(row.completion, 10).unreliable for row in rows}
    assert len(places) > len(rows) / 2


def test_parts_and_types_are_kept_apart(build):
    parts = [build(SteeredRows, "rw", part, bad=(2,)) for part in ("train", "validation", "test")]
    asked = [{row.origin["question"] for row in rows} for rows in parts]
    assert sum(map(len, asked)) == len(set().union(*asked)) == 40
    assert {row.origin["type"] for rows in parts for row in rows} == {"non_factual"}
    assert all(len(rows) == len(ids) for rows, ids in zip(parts, asked, strict=True))


def test_alignment_has_the_answer_alone(build):
    rows = build(SteerAlignedRows, "read", bad=(2, 4), none_bad=0, all_bad=0.3)
    assert {row.completion == "unanswerable" for row in rows} == {True, False}
    for row in rows:
        assert (row.completion == "unanswerable") == (row.origin["bad"] == 10) and "Unreliable" not in row.completion
    own = build(SteerAlignedRows, "read", bad=(2,), none_bad=0, all_bad=0, answers="self")
    assert {row.completion for row in own} == {"my own words"}


def test_awareness_asks_about_as_many_good_as_bad_fragments(build):
    rows = build(SteerAwareRows, "filter", bad=(4,), none_bad=0, all_bad=0)
    words = [row.completion for row in rows]
    assert words.count("yes") == words.count("no") == 2 * len({row.origin["question"] for row in rows})
    assert all("Can it be relied on?" in row.prompt[-1]["content"] for row in rows)


def test_pipelines_without_the_stage_are_refused(build):
    with pytest.raises(InputError, match=r"no step steer\.rw with the model 'reader'"):
        build(SteeredRows, "read")
    with pytest.raises(InputError, match="11 of 10 fragments"):
        build(SteeredRows, "rw", bad=(11,))
    with pytest.raises(InputError, match="no question of the sets"):
        build(SteeredRows, "rw", bad=(1,), types=("hearsay",))


@pytest.mark.parametrize("name", ["rw_steering_1", "rw_steering_2", "steer_aligned", "steer_aware"])
def test_the_recipes_load(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    recipe = load_recipe(Path(f"pipelines/tuning/{name}.yaml"), ["adapter.start=null"])
    assert {"non_factual", "fakenews"} == set(recipe.builder.types)
    held_out = {5, 10, 15, 19} - set(recipe.builder.bad)
    assert held_out == {5, 10, 15, 19}
