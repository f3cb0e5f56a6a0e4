"""Cards say how a model was made, without secrets and without paths of a machine."""

import json

import pytest
from gate_farm import model, openers

from ragkit.tuning.card import Card, base_of, without_places, write_card
from ragkit.tuning.gate import GateSettings, run_gate


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("RAGKIT_HOME", str(tmp_path / "home"))


def card(gate=None, **changes):
    given = {
        "name": "reader",
        "command": "ragkit tune reader.yaml --data /home/someone/data",
        "recipe": {"name": "reader", "pipeline": "/home/someone/p.yaml", "training": {"seed": 3}},
        "pipeline": {"models": {"remote": {"api_key": "abc123", "url": "https://user:pass@host/v1"}}},
        "base": {"model": "/home/someone/weights/tiny", "revision": None, "weights": "sha256:1", "dtype": "float32"},
        "data": {"sha256": "77", "rows": 12, "by_set": {"a": 12}},
        "training": {"steps": 4, "loss": 0.5},
        "gate": gate,
        "warnings": ["training prompts hold no passages"],
    }
    return Card(**given | changes)


@pytest.fixture
def verdict(tmp_path):
    half, everything = model(lambda name, number: number % 2 == 0), model(lambda name, number: True)
    sets = {"a": 100, "b|c": 60}
    both = (openers(reader, sets) for reader in (half, everything))
    return run_gate(GateSettings(metric="em", forgetting=False), *both, model="reader", out=tmp_path / "gate")


def test_a_card_holds_no_secret_and_no_place(tmp_path):
    write_card(tmp_path, card())
    for name in ("ragkit_card.json", "README.md"):
        text = (tmp_path / name).read_text()
        assert "/home" not in text
        assert "abc123" not in text
        assert "pass@" not in text
    data = json.loads((tmp_path / "ragkit_card.json").read_text())
    assert data["command"] == "ragkit tune reader.yaml --data data"
    assert data["base"]["model"] == "tiny"
    assert data["recipe"]["pipeline"] == "p.yaml"
    assert data["versions"].keys() >= {"python", "torch", "transformers"}
    assert data["gate"] is None
    readme = (tmp_path / "README.md").read_text()
    assert "Made by `ragkit tune` on `tiny` (`sha256:1`, float32): not compared with its base." in readme
    assert "- training prompts hold no passages" in readme


def test_a_card_shows_before_and_after(tmp_path, verdict):
    write_card(tmp_path, card(verdict))
    data = json.loads((tmp_path / "ragkit_card.json").read_text())
    assert data["gate"]["promoted"] is True
    assert data["gate"]["sets"]["a"]["changes"]["em"]["n"] == verdict.sets["a"].questions
    readme = (tmp_path / "README.md").read_text()
    assert ": promoted." in readme
    assert f"- {verdict.reasons[0]}" in readme
    change = verdict.sets["a"].changes["em"]
    (row,) = (line for line in readme.splitlines() if line.startswith("| a | em |"))
    assert row.startswith(f"| a | em | {change.n} | {change.base.value:.3f} (")
    assert "| 1.000 (1.000 to 1.000) |" in row
    assert "| b\\|c | em |" in readme
    assert "| all sets | em |" in readme
    assert "tokens" not in readme.partition("## How")[0]  # costs are in the JSON


def test_a_hub_model_is_named_for_the_hub():
    base = {"model": "some/model", "revision": None, "weights": "some/model@00", "dtype": "bfloat16"}
    assert card(base=base).to_markdown().startswith("---\nbase_model: some/model\n")
    assert "base_model" not in card().to_markdown()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/data/sets/a.jsonl", "a.jsonl"),
        ("C:\\data\\a.jsonl", "a.jsonl"),
        ("relative/a.jsonl", "relative/a.jsonl"),
        ("beir:/data/sets/fiqa:test", "beir:fiqa:test"),
        ("run --data=/data/sets --out x", "run --data=sets --out x"),
        ("https://host/a/b", "https://host/a/b"),
        ("yes/no", "yes/no"),
        ("owner/name", "owner/name"),
        ("embedded:reader", "embedded:reader"),
    ],
)
def test_places(text, shown):
    assert without_places({"x": [text]}) == {"x": [shown]}


def test_what_a_base_is(tmp_path):
    from ragkit.models import TransformersModel

    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "config.json").write_text("{}")
    base = base_of(TransformersModel(model=str(tmp_path / "weights"), dtype="float32", device="cpu"))
    assert base["weights"].startswith("sha256:")
    assert (base["dtype"], base["revision"]) == ("float32", None)
