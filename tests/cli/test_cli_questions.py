"""`ragkit questions`."""

import json

RECIPE = """\
pipeline: farm.yaml
model: tuned
sets:
  farm: {folder: ., documents: [docs/*.txt], questions: held_out.jsonl}
data: {builder: corpus_qa, model: teacher, min_words: 3, questions_per_section: 1, facets: {}}
objective: {type: sft}
"""
PIPELINE = """\
models:
  tuned: {provider: transformers, model: "embedded:smollm2-135m-instruct"}
  teacher:
    provider: scripted
    rules:
      - {contains: You write questions, reply: '{"question": "At what moisture is the crop kept?"}'}
      - {contains: You grade, reply: "5"}
    default: 14 percent
index: {documents: ["docs/*.txt"], sparse: {}}
pipeline:
  - retrieve.sparse: {k: 2}
  - answer.read: {model: tuned}
"""


def test_missing_questions_are_written_once(farm, ragkit):
    (farm / "farm.yaml").write_text(PIPELINE)
    (farm / "recipe.yaml").write_text(RECIPE)
    for number in range(20):  # some of these are in the test part
        (farm / "docs" / f"crop{number}.txt").write_text(f"Crop {number} is kept safe at 14 percent.\n")
    first = ragkit("questions", "recipe.yaml")
    assert first.code == 0, first.err
    (line,) = (farm / "held_out.jsonl").read_text().splitlines()  # the same question again and again is one
    assert json.loads(line)["answers"] == ["14 percent"]
    assert "question repeated" in first.out
    again = ragkit("questions", "recipe.yaml")
    assert again.code == 0
    assert "was there already" in again.out


def test_a_recipe_with_another_mistake_is_refused(farm, ragkit):
    (farm / "farm.yaml").write_text(PIPELINE)
    (farm / "recipe.yaml").write_text(RECIPE.replace("corpus_qa", "corpus_qq"))
    result = ragkit("questions", "recipe.yaml")
    assert result.code == 2
    assert "recipe.yaml:5" in result.err
    assert "corpus_qa" in result.err
