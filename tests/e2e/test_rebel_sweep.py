"""A sweep over modes and budgets with a scripted model: what each point costs."""

import json
from pathlib import Path

import pytest

from ragkit.evaluation.variants import Plan, evaluate

TURN_1 = {"criteria": [{"name": "exactness", "definition": "how exact", "high": "very", "low": "not"}]}
PIPELINE = f"""
name: sweep
models:
  judge:
    provider: scripted
    rules:
      - {{contains: You see only the query, reply: {json.dumps(json.dumps(TURN_1))}}}
    default: '{{"passages": [{{"number": 2, "relevance": 9}}, {{"number": 1, "relevance": 3}}]}}'
index:
  documents: [rows.jsonl]
  sparse: {{}}
pipeline:
  - retrieve.sparse: {{k: 6}}
  - rerank.rebel: {{model: judge, batch: 3, k: 2}}
run:
  questions: questions.jsonl
  metrics: [P@2, mrr@2, model_calls]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAGKIT_HOME", str(tmp_path / "home"))
    rows = [{"id": f"d{n}", "text": f"wheat {'wheat ' * (6 - n)} field {n}"} for n in range(6)]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = [{"id": str(n), "question": f"wheat {'?' * n}", "supporting_ids": ["d1"]} for n in range(5)]
    Path("questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    Path("p.yaml").write_text(PIPELINE)
    return tmp_path


def test_modes_and_budgets(folder: Path) -> None:
    sweeps = ("rerank.rebel.mode=one_turn,two_turn", "rerank.rebel.budget.model_calls=0,1,9")
    table = evaluate(Plan(folder / "p.yaml", sweeps=sweeps), folder / "runs")
    assert all(row.failures == 0 for row in table.rows)
    calls = {row.name: row.metrics["model_calls"].value for row in table.rows}
    ranks = {row.name: row.metrics["mrr@2"].value for row in table.rows}
    prefix, calls_of = "rerank.rebel.mode=", "rerank.rebel.budget.model_calls="
    assert calls == {
        "as it is": 3.0,
        f"{prefix}one_turn, {calls_of}0": 0.0,
        f"{prefix}one_turn, {calls_of}1": 1.0,
        f"{prefix}one_turn, {calls_of}9": 2.0,
        f"{prefix}two_turn, {calls_of}0": 0.0,
        f"{prefix}two_turn, {calls_of}1": 1.0,
        f"{prefix}two_turn, {calls_of}9": 3.0,
    }
    assert ranks[f"{prefix}one_turn, {calls_of}0"] == 0.5 and ranks[f"{prefix}one_turn, {calls_of}1"] == 1.0
    # Points of the grid share their calls: all that two turns ask was asked by the pipeline as it is.
    made = {row.name: row.calls.made for row in table.rows}
    assert made[f"{prefix}two_turn, {calls_of}9"] == 0
