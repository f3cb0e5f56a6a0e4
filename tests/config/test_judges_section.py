"""The section `run: judges:`: placed errors, round trip, schema, and a run from the file to the figures."""

import json

import jsonschema
import pytest
import yaml

from ragkit.config.load import parse_pipeline
from ragkit.config.problems import ConfigError
from ragkit.config.schema import pipeline_schema
from ragkit.evaluation.judges import CitationJudge, RubricJudge
from ragkit.models.base import Price

GRADE = '{"reason": "same", "grade": "5"}'
YAML = f"""\
name: judged
models:
  reader: {{provider: scripted, default: "14 percent", price: {{input: 1, output: 2}}}}
  judge: {{provider: scripted, default: {GRADE!r}}}
  words: {{provider: hash}}
index: {{documents: ["docs/*.txt"], sparse: {{}}}}
pipeline:
- retrieve.sparse: {{k: 2}}
- answer.read: {{model: reader}}
run:
  metrics: [em, "numeric(tolerance=0.05)", nDCG@10, pages.recall@5, "aurc(of=hit)", cost]
  judges:
    correct: {{type: rubric, models: [judge, reader], scale: 1-5}}
    near: {{type: semantic_similarity, encoder: words}}
    cites: {{type: citations, model: judge}}
"""


def problems(text):
    with pytest.raises(ConfigError) as caught:
        parse_pipeline(text, "p.yaml")
    return str(caught.value)


def test_judges_are_built_with_their_models():
    pipeline = parse_pipeline(YAML)
    judges = pipeline.settings.judges
    assert isinstance(judges["correct"], RubricJudge)
    assert judges["correct"].models == (pipeline.models["judge"], pipeline.models["reader"])
    assert isinstance(judges["cites"], CitationJudge)
    assert pipeline.models["reader"].price.input == Price(input=1, output=2).input
    assert pipeline.models["judge"] in pipeline.resources


def test_the_file_is_written_again_without_loss():
    pipeline = parse_pipeline(YAML)
    again = parse_pipeline(pipeline.to_yaml())
    assert again.to_yaml() == pipeline.to_yaml()
    assert yaml.safe_load(pipeline.to_yaml())["run"] == yaml.safe_load(YAML)["run"]


def test_the_schema_knows_judges_and_metrics(installed):
    schema = pipeline_schema()
    check = jsonschema.Draft202012Validator(schema)
    data = yaml.safe_load(YAML)
    assert list(check.iter_errors(data)) == []
    for change in (
        {"judges": {"x": {"type": "rubrik"}}},
        {"judges": {"x": {"models": ["judge"]}}},
        {"judges": {"x": {"type": "rubric", "models": ["judge"], "scael": "1-5"}}},
        {"judges": {"x": {"type": "rubric", "models": []}}},
        {"metrics": ["numeric(tolerance=0.05"]},
    ):
        assert list(check.iter_errors(data | {"run": change})), change


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("models: [judge, reader]", "models: [jugde]", "p.yaml:13:38: run.judges.correct.models, item 1: no model"),
        ("models: [judge, reader]", "models: [words]", "'words' is an encoder, but a language model is needed"),
        ("encoder: words", "encoder: judge", "'judge' is a language model, but an encoder is needed"),
        ("type: rubric", "type: rubrik", "13:21: run.judges.correct: unknown type 'rubrik', did you mean 'rubric'?"),
        ("type: rubric, ", "", "run.judges.correct: missing key 'type'"),
        ("scale: 1-5", "scale: 1-9", "unknown value '1-9', did you mean '1-5'?"),
        ("scale: 1-5", "sclae: 1-5", "unknown key 'sclae', did you mean 'scale'?"),
        ("scale: 1-5", "prompt: judge.corectness", "no prompt 'judge.corectness', did you mean 'judge.correctness'?"),
        ("scale: 1-5", "prompt: answer.read", "uses abstain, but the stage gives only"),
        ("cites: {type: citations, model: judge}", "cites: {type: citations}", "name one of 'nli'"),
        ("model: judge}", "nli: judge}", "'judge' is a language model, but an entailment model is needed"),
        ("  judges:", "  judges: 5 #", "run.judges: must be a mapping"),
        ("    correct:", "    a b:", "a judge's name has letters"),
    ],
)  # fmt: skip
def test_mistakes_are_placed(before, after, message):
    assert before in YAML
    text = YAML.replace(before, after)
    if "judges: 5" in text:
        text = text.split("#")[0]
    assert message in problems(text)


def test_a_run_judges_its_answers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAGKIT_HOME", raising=False)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "wheat.txt").write_text("Winter wheat is kept at 14 percent moisture.\n")
    text = YAML.replace("[judge, reader]", "[judge]").replace(
        "type: citations, model: judge", "type: citations, model: other"
    )
    text = text.replace("  words:", "  other: {provider: scripted, default: neutral}\n  words:")
    asked = [{"id": "w", "question": "How wet is wheat?", "answers": ["14 percent"], "supporting_ids": ["wheat.txt"]}]
    with parse_pipeline(text) as pipeline:
        experiment = pipeline.run(asked, out=tmp_path / "run")
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert found["metrics"]["correct"]["value"] == 1
    assert found["metrics"]["near"]["value"] == pytest.approx(1)
    assert found["metrics"]["cites.recall"]["value"] == 0
    assert found["metrics"]["nDCG@10"]["value"] == 1
    assert found["metrics"]["numeric(tolerance=0.05)"]["value"] == 1
    assert found["metrics"]["cost"]["value"] > 0
    assert found["judges"]["correct"]["usage"]["model_calls"] == 1
    assert found["curves"]["aurc(of=hit)"] == {"coverage": [1.0], "risk": [0.0]}
    assert set(found["stages"]) == {"retrieve.sparse", "answer.read"}
    rows = [json.loads(line) for line in (tmp_path / "run" / "judgements.jsonl").read_text().splitlines()]
    assert [(row["id"], row["judge"]) for row in rows] == [("w", "correct"), ("w", "near"), ("w", "cites")]
    assert rows[2]["details"]["cited_but_unsupported"] == [experiment.rows[0]["citations"][0]["passage"]]
    lock = yaml.safe_load((tmp_path / "run" / "run.lock.yaml").read_text())
    assert {"judge.correctness", "judge.entailment", "answer.read"} <= set(lock["prompts"])
    assert {"judge", "other", "reader", "words"} <= set(lock["fingerprints"])
    assert experiment.rows[0]["confidence"] == 1
