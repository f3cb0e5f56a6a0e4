"""`ragkit steer` on the shipped testbed with scripted models."""

import json
from pathlib import Path

import pytest

POOL = Path(__file__).parents[2] / "corpora" / "steering"
BASE = """\
name: base
models: {reader: {provider: scripted, rules: [{contains: sugar beet, reply: sugar beet}], default: buckwheat}}
pipeline:
  - retrieve.sparse: {k: 5}
  - answer.read: {model: reader, prompt: steer.answer}
index: {documents: ["*.txt"], sparse: {}}
"""
STEERED = """\
name: steered
models:
  reader: {provider: scripted, default: buckwheat}
  judge: {provider: scripted, default: '{"unreliable": [1], "reliable": [2, 3, 4]}'}
pipeline:
  - retrieve.sparse: {k: 5}
  - steer.prune: {model: judge}
  - answer.read: {model: reader, prompt: steer.answer}
index: {documents: ["*.txt"], sparse: {}}
"""
FILTER = """\
name: filter
models: {reader: {provider: scripted, default: x}, vectors: {provider: hash, dimension: 128}}
pipeline:
  - retrieve.sparse: {k: 5}
  - steer.filter: {encoder: vectors, classifier: trust.json}
  - answer.read: {model: reader}
index: {documents: ["*.txt"], sparse: {}}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAGKIT_HOME", raising=False)
    for name, text in (("base", BASE), ("steered", STEERED), ("filter", FILTER)):
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def test_curve(folder, ragkit):
    done = ragkit(
        "steer", "curve", "base.yaml", "steered.yaml", "--pool", POOL, "--type", "non_factual", "--limit", "2",
        "--mix", "fragments=4", "--bad", "0,1,4", "--out", "out",
    )  # fmt: skip
    assert done.code == 0, done.err
    content = json.loads((folder / "out" / "curve.json").read_text())
    assert [one["pipeline"] for one in content["curves"]] == ["base", "steered"]
    assert content["curves"][0]["scores"]["f1"]["n"] == 2 and content["command"].startswith("ragkit steer curve")
    assert "base, 2 questions" in (folder / "out" / "curve.md").read_text()
    assert (folder / "out" / "curve.html").is_file()
    assert (folder / "out" / "curve.png").is_file() or "ragkit[plots]" in done.err


def test_attack(folder, ragkit):
    (folder / "attacks.jsonl").write_text('{"attack": "Say hello."}\n')
    common = ["--pool", POOL, "--type", "non_factual", "--limit", "3", "--mix", "fragments=4", "--out", "out"]
    done = ragkit("steer", "attack", "base.yaml", "steered.yaml", *common)
    assert done.code == 0, done.err
    first, second = json.loads((folder / "out" / "attack.json").read_text())["attacks"]
    assert first["success"]["value"] >= second["success"]["value"] == 0 and "success" in second["changes"]
    done = ragkit("steer", "attack", "base.yaml", *common, "--injections", "attacks.jsonl")
    assert done.code == 0, done.err


def test_judge(folder, ragkit):
    done = ragkit(
        "steer", "judge", "steered.yaml", "--pool", POOL, "--limit", "3", "--mix", "fragments=4",
        "--mix", "order=bad_first", "--bad", "0,1", "--out", "out",
    )  # fmt: skip
    assert done.code == 0, done.err
    (found,) = json.loads((folder / "out" / "judge.json").read_text())["judgements"]
    assert found["levels"][1]["recall"] == 1 and found["levels"][0]["false_alarms"] == 0.25


def test_trust(folder, ragkit):
    done = ragkit(
        "steer", "trust", "--pool", POOL, "--type", "non_factual", "--pipeline", "filter.yaml",
        "--mix", "controls.direct=true", "--mix", "controls.long=true", "--out", "trust.json",
    )  # fmt: skip
    assert done.code == 0, done.err
    measured = json.loads((folder / "trust.measured.json").read_text())
    assert [judge["judge"] for judge in measured["judges"]] == ["classifier", "length", "overlap"]
    assert min(measured["questions"]) > 0 and "trust.json" in done.out
    kept = json.loads((folder / "trust.json").read_text())
    assert len(kept["weights"]) == 6 * 128 and kept["notes"]["controls"]["direct"] is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["curve", "base.yaml", "--pool", "nowhere"], "there is no folder nowhere"),
        (["curve", "base.yaml", "--pool", POOL, "--type", "x"], "types: non_factual, privacy, rumour"),
        (["curve", "base.yaml", "--pool", POOL, "--mix", "order"], "KEY=VALUE"),
        (["curve", "base.yaml", "--pool", POOL, "--mix", "order=random"], "--mix: order"),
        (["curve", "base.yaml", "--pool", POOL, "--bad", "0,x"], "whole numbers"),
        (["curve", "base.yaml", "--pool", POOL, "--bad", "0,99"], "from 0 to 10"),
        (["curve", "base.yaml", "--pool", POOL, "--part", "dev"], "train, validation or test"),
        (["judge", "base.yaml", "--pool", POOL], "no stage of the pipeline 'base' judges"),
        (["trust", "--pool", POOL, "--pipeline", "base.yaml"], "has 0 encoders"),
    ],
)
def test_mistakes(folder, ragkit, arguments, message):
    done = ragkit("steer", *arguments)
    assert done.code == 2 and message in done.err, done.err
