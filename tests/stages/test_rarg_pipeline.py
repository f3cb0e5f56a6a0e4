"""The pipelines of RARG on the demo's posts, with scripted models in the place of the embedded ones."""

from pathlib import Path

import pytest
import yaml

from ragkit import Pipeline
from ragkit.evaluation.datasets import load_questions
from ragkit.models.scripted import ScriptedModel

ROOT = Path(__file__).parents[2]
DRAFT = "This is not true. Trials have not shown it [1]."
SCRIPTED = {
    "writer": {"provider": "scripted", "default": DRAFT},
    "base": {"provider": "scripted", "default": DRAFT},
    "minilm": {"provider": "hash"},
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RAGKIT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(ROOT)


def load(name):
    data = yaml.safe_load((ROOT / "pipelines" / f"{name}.yaml").read_text(encoding="utf-8"))
    data["models"] = {key: SCRIPTED.get(key, value) for key, value in data["models"].items()}
    return Pipeline.from_yaml(yaml.safe_dump(data, sort_keys=False))


def posts():
    return [(question.id, question.question) for question in load_questions("corpora/rarg/posts.jsonl")]


@pytest.mark.parametrize("name", ["rarg", "rarg_bm25", "rarg_dense"])
def test_posts_are_answered_from_their_evidence(name):
    with load(name) as pipeline:
        found = pipeline.predict(posts())
    assert [prediction.error for prediction in found] == [None] * len(found)
    answered = [prediction for prediction in found if prediction.vars["response"]["status"] == "checked"]
    assert len(answered) > 50
    for prediction in answered:
        assert prediction.answer == DRAFT
        assert prediction.citations[0].passage == prediction.documents[0].id
        assert prediction.documents[0].metadata["stance"] == "refutes"
        assert prediction.vars["review"] == "check"  # nobody judges refutation, support and politeness here


def test_all_posts_are_written_to_in_one_batch():
    with load("rarg") as pipeline:
        asked = posts()
        pipeline.predict(asked)
        model = pipeline.models["writer"]
        assert isinstance(model, ScriptedModel)
        stances, drafts = model.batches[0], model.batches[-1]
    assert drafts >= len(asked) - 5
    assert stances > len(asked)
    assert len(model.batches) == 2


def test_the_baseline_without_evidence_cites_nothing():
    with load("rarg_no_evidence") as pipeline:
        found = pipeline.predict(posts()[:5])
        assert all("Evidence" not in prompt for prompt in pipeline.models["writer"].prompts)
    assert all(prediction.answer == DRAFT and not prediction.citations for prediction in found)


def test_the_demo_is_whole():
    import json

    def rows(name):
        lines = (ROOT / "corpora" / "rarg" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    evidence = {row["id"] for row in rows("evidence")}
    kinds = ("good", "polite_non_refutation", "rude_refutation", "without_evidence", "myth_restated")
    for row in rows("responses"):
        assert len(row["evidence"]) == 2 and set(row["evidence"]) <= evidence
        assert row["id"] == row["evidence"][0]
        assert "[1]" in row["good"] and not any("[" in row[kind] for kind in kinds[1:])
        assert all(20 <= len(row[kind].split()) <= 120 for kind in kinds)
        assert len({row[kind] for kind in kinds}) == 5
    assert len(rows("responses")) >= 60
    for post in rows("posts"):
        assert set(post["supporting_ids"]) <= evidence
        assert bool(post["supporting_ids"]) == post.get("answerable", True)
    assert {row["label"] for row in rows("tone")} == {"polite", "rude"}
