"""Held-out questions for sets that have none."""

import json

import pytest

from ragkit.errors import InputError
from ragkit.evaluation.question_sets import set_questions
from ragkit.evaluation.questions import read_questions
from ragkit.evaluation.split import part_of
from ragkit.tuning.held_out import write_held_out
from ragkit.tuning.recipe import load_recipe
from ragkit.tuning.run import prepare

PIPELINE = """\
name: crops
models:
  reader: {provider: transformers, model: "embedded:smollm2-135m-instruct"}
  teacher:
    provider: scripted
    rules:
      - {contains: You tag sections, reply: '{"topic": "sowing"}'}
      - {matches: 'You write questions.*Text: "Crop (\\w+) is', reply: '{"question": "When is crop {1} sown?"}'}
      - {contains: You grade, reply: "5"}
      - {matches: 'Question: When is crop (?P<crop>\\w+) sown', reply: "in autumn"}
index:
  documents: [none.jsonl]
  sparse: {}
pipeline:
  - retrieve.sparse: {k: 2}
  - answer.read: {model: reader}
"""
RECIPE = """\
pipeline: pipeline.yaml
model: reader
sets:
  crops: {documents: [corpus.jsonl], questions: held_out.jsonl}
data: {builder: corpus_qa, model: teacher, min_words: 3, questions_per_section: 1}
objective: {type: sft}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAGKIT_HOME", str(tmp_path / "home"))
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "crops").mkdir()
    rows = [{"id": f"crop{n}", "text": f"Crop number{n} is sown in autumn."} for n in range(30)]
    (tmp_path / "crops" / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def write(folder):
    return write_held_out(load_recipe(folder / "recipe.yaml"), folder, lambda *_: None)


def change(folder, old, new):
    recipe = folder / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace(old, new))


def test_questions_are_about_test_documents_and_in_the_test_part(folder):
    found = write(folder)
    written = read_questions(folder / "crops" / "held_out.jsonl")
    assert len(written) == found["crops"].report.kept == sum(part_of(f"crop{n}") == "test" for n in range(30))
    for question in written:
        assert part_of(question.id) == part_of(question.supporting_ids[0]) == "test"
        assert question.answers == ("in autumn",)
    report = json.loads((folder / "crops" / "held_out.jsonl.report.json").read_text())
    assert report["kept"] == len(written)


def test_the_recipe_s_sets_can_then_be_opened(folder):
    write(folder)
    recipe = load_recipe(folder / "recipe.yaml")
    assert set_questions("crops", recipe.sets["crops"], folder / "crops")


def test_a_tuning_s_rows_are_made_of_other_documents_than_its_gate_s_questions(folder):
    write(folder)
    recipe = load_recipe(folder / "recipe.yaml")
    (folder / "tuned").mkdir()
    prepared = prepare(recipe, folder / "tuned", folder, lambda *_: None)
    assert prepared.counts == {"set": {"crops": len(prepared.rows)}, "kind": {"read": len(prepared.rows)}}
    with prepared.sets["crops"]("test") as opened:
        examined = {question.supporting_ids[0] for question in opened.questions}
    learnt = {row.origin["section"] for row in (*prepared.rows, *prepared.validation)}
    assert examined
    assert learnt
    assert not examined & learnt
    assert examined | learnt == {f"crop{n}" for n in range(30)}


def test_a_file_that_is_there_is_not_touched(folder):
    path = folder / "crops" / "held_out.jsonl"
    path.write_text('{"question": "mine"}\n')
    assert write(folder)["crops"].report is None
    assert path.read_text() == '{"question": "mine"}\n'


def test_questions_of_no_use_are_an_error_with_the_reasons(folder):
    change(folder, "min_words: 3", "min_words: 3, min_coverage: 1.0")
    with pytest.raises(InputError, match="coverage too low"):
        write(folder)
    assert not (folder / "crops" / "held_out.jsonl").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("held_out.jsonl", "[a.jsonl, b.jsonl]", r"name one \.jsonl file"),
        ("held_out.jsonl", '"beir:queries.jsonl"', r"name one \.jsonl file"),
    ],
)
def test_what_cannot_be_written_is_refused(folder, old, new, message):
    change(folder, old, new)
    with pytest.raises(InputError, match=message):
        write(folder)
