"""`ragkit compare`."""

import json
import re

import pytest
from cli_farm import QUESTIONS

from ragkit.cli import console


@pytest.fixture
def runs(farm, ragkit):
    for name, default in (("a", "unanswerable"), ("b", "14 percent [1]")):
        rules = "[]" if name == "b" else '[{contains: "moisture is wheat safe", reply: "14 percent [1]"}]'
        result = ragkit(
            "run", "farm.yaml", "--set", f"models.reader.rules={rules}", "--set", f"models.reader.default={default}",
            "--out", name,
        )  # fmt: skip
        assert result.code == 0, result.err
    return farm


def test_two_runs(runs, ragkit):
    result = ragkit("compare", "a", "b")
    assert result.code == 0
    assert "baseline: a, 3 questions" in result.out
    assert "worse by em: n" in result.out
    found = json.loads((runs / "compare.json").read_text())
    assert found["runs"][1]["lost"]["em"] == ["n"]
    assert found["runs"][1]["won"]["em"] == []
    assert found["runs"][1]["differences"]["em"]["paired"]["difference"] == pytest.approx(-1 / 3)
    assert {(pareto["quality"], pareto["cost"]) for pareto in found["pareto"]} == {
        ("em", "seconds"),
        ("f1", "seconds"),
        ("recall@2", "seconds"),
    }


def test_other_questions_are_left_out_with_a_warning(runs, ragkit):
    (runs / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS[:2]))
    assert ragkit("run", "farm.yaml", "--out", "c").code == 0
    result = ragkit("compare", "a", "c", "--out", "other.json")
    assert result.code == 0
    assert "a: left out 1 question that not all runs have" in result.err
    assert json.loads((runs / "other.json").read_text())["questions"] == 2


def test_what_is_no_run(runs, ragkit):
    result = ragkit("compare", "a", "docs")
    assert result.code == 2
    assert "docs: holds no run (there is no run.lock.yaml)" in result.err
    assert ragkit("compare", "a").code == 2


def test_numbers_are_shown_whole_in_a_narrow_terminal(runs, ragkit, monkeypatch):
    monkeypatch.setattr(console.output, "width", 80)
    result = ragkit("compare", "a", "b")
    assert "\u2026" not in result.out
    assert re.search(r"em +0\.667 +0\.333 +-0\.333 +-1\.000 to 0\.000 +1\.000 +0/1", result.out)


def test_failures_and_metrics_of_one_run_only_are_said(runs, ragkit):
    changes = ("--set", "models.reader={provider: scripted}", "--set", "run.metrics=[em, hit]")
    assert ragkit("run", "farm.yaml", *changes, "--out", "c").code == 1
    result = ragkit("compare", "a", "c", "--out", "new/folder/x.json")
    assert result.code == 0, result.err
    assert "c: 3 questions failed (counted as wrong)" in result.err
    assert "a: not measured in all runs: f1, recall@2" in result.err
    assert "c: not measured in all runs: hit" in result.err
    found = json.loads((runs / "new" / "folder" / "x.json").read_text())
    assert "cached_share" in found["runs"][1]["metrics"]  # shown, but it says what ran before, so it is not tested
    assert "cached_share" not in found["runs"][1]["differences"]
