"""Rows for the digits of REBEL: the stage's own prompts, with what the metadata of passages says."""

import json
from contextlib import contextmanager
from pathlib import Path

import pytest

from ragkit.errors import InputError
from ragkit.evaluation.question_sets import QuestionSet, pipeline_over, set_questions
from ragkit.evaluation.split import in_part
from ragkit.tuning.builders.rebel import RebelRows
from ragkit.tuning.data import BuildContext, TuningSet
from ragkit.tuning.recipe import load_recipe

PIPELINE = """
models: {reader: {provider: scripted, default: "3"}}
index: {documents: [corpus.jsonl], sparse: {}}
pipeline:
  - retrieve.sparse: {k: 10}
  - rerank.rebel: {model: reader, mode: one_turn, scoring: expected, show: [publisher], k: 3}
run: {metrics: [recall@3]}
"""


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Return what makes the rows of a part, for given settings of the builder and a given pipeline."""
    monkeypatch.setenv("RAGKIT_HOME", str(tmp_path / "home"))
    folder = tmp_path / "planted"
    folder.mkdir()
    questions = [{"id": f"q{n}", "question": f"wheat of field {n}?"} for n in range(40)]
    rows = []
    for q in questions:
        for n in range(7):
            text = f"wheat of field {q['id']} told {n} times"
            row = {"id": f"{q['id']}-{n}", "text": text, "asked": q["id"], "publisher": f"P{n}"}
            labelled = {"grades": {"relevance": 4, "recency": n, "authority": "high"}} if n < 5 else {}
            rows.append(row | labelled)
    for q in questions:
        q["vars"] = {"where": {"field": "asked", "equals": q["id"]}}
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions))

    own = QuestionSet(documents=("corpus.jsonl",), questions="questions.jsonl")
    asked = set_questions("planted", own, folder)
    file = tmp_path / "p.yaml"

    @contextmanager
    def opened(part):
        with pipeline_over(str(file), own, folder, []) as pipeline:
            pipeline.prepare(lambda *_: None)
            yield TuningSet("planted", pipeline, in_part(asked, part))

    def make(part="train", pipeline=PIPELINE, **settings):
        file.write_text(pipeline)
        context = BuildContext({"planted": opened}, "reader", 7, tmp_path, lambda *_: None)
        return RebelRows(**settings).build(part, context)

    return make


def test_prompts_and_digits(build):
    rows = build(per_question=100)
    assert {row.origin["criterion"] for row in rows} == {"relevance", "recency"}  # "high" is no digit
    per_question = {}
    for row in rows:
        per_question.setdefault(row.origin["question"], []).append(row)
    assert all(len(own) == 10 for own in per_question.values()) and len(per_question) > 20
    for row in rows:
        text = row.prompt[-1]["content"]
        number = int(text.split(" told ")[1][0])
        expected = "4" if row.origin["criterion"] == "relevance" else str(number)
        assert row.completion == expected == row.origin["digit"]
        assert f"Criterion: {row.origin['criterion']}," in text and f'"publisher": "P{number}"' in text
        assert "grades" not in text
    assert [row.prompt for row in build(per_question=100)] == [row.prompt for row in rows]


def test_some_rows_of_each_question_and_parts_that_do_not_meet(build):
    train, validation, test = (build(part, per_question=3) for part in ("train", "validation", "test"))
    parts = [{row.origin["question"] for row in rows} for rows in (train, validation, test)]
    assert all(len(rows) == 3 * len(ids) for rows, ids in zip((train, validation, test), parts, strict=True))
    assert sum(map(len, parts)) == len(set().union(*parts)) == 40


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("scoring: expected", "scoring: listwise"), "no step rerank.rebel with the model 'reader'"),
        (("mode: one_turn", "mode: two_turn"), "no step rerank.rebel"),
    ],
)
def test_a_pipeline_that_scores_in_another_way_is_refused(build, change, message):
    with pytest.raises(InputError, match=message):
        build(pipeline=PIPELINE.replace(*change))


def test_passages_without_digits_make_no_rows(build):
    with pytest.raises(InputError, match="no passage has digits under 'labels'"):
        build(field="labels")


def test_the_recipe_loads(monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[3])
    recipe = load_recipe(Path("pipelines/tuning/rebel_digits.yaml"))
    assert isinstance(recipe.builder, RebelRows) and recipe.gate.metric == "recall@3"
