"""Evaluation from end to end on PDFs of the field guide: funnel, oracles, comparison, repetition."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "corpora" / "fieldguide"
PIPELINE = """\
name: guide
models:
  reader: {{provider: scripted, default: "14 percent [1]"}}
index:
  documents: [grain-storage.pdf]
  base: {guide}
  sparse: {{}}
pipeline:
  - retrieve.sparse: {{k: 3}}
  - context.pack: {{model: reader, tokens: 300}}
  - answer.read: {{model: reader}}
run:
  questions: questions.jsonl
  metrics: [em, hit, recall@3]
"""


@pytest.fixture(scope="module")
def guide(tmp_path_factory):
    """The folder of an evaluation with oracles: questions about two documents, one of which is not in the corpus."""
    folder = tmp_path_factory.mktemp("guide")
    (folder / "guide.yaml").write_text(PIPELINE.format(guide=GUIDE))
    rows = [json.loads(line) for line in (GUIDE / "questions.jsonl").open()]
    documents = ("grain-storage.pdf", "safety-notice.pdf")
    own = [
        row
        for row in rows
        if row["supporting_ids"] and all(gold.startswith(documents) for gold in row["supporting_ids"])
    ]
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in own))
    command(folder, "eval", "guide.yaml", "--oracle", "retrieve", "--oracle", "read", "--ablate", "--out", "out")
    return folder


def command(folder, *arguments):
    environment = os.environ | {"RAGKIT_HOME": str(folder / "home"), "COLUMNS": "120"}
    program = [sys.executable, "-c", "from ragkit.cli import main; main()", *arguments]
    done = subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rows(folder):
    return {row["name"]: row for row in json.loads((folder / "out" / "eval.json").read_text())["rows"]}


def test_the_funnel_says_where_the_evidence_went(guide):
    funnel = rows(guide)["as it is"]["funnel"]
    stages = {stage["stage"]: stage for stage in funnel["stages"]}
    assert list(stages) == ["corpus", "index", "retrieve.sparse", "prompt", "cited", "answered"]
    (lost,) = stages["corpus"]["losses"]
    assert lost["reason"] == "not among the documents"
    assert all(name.startswith("safety") for name in lost["examples"])
    assert stages["index"]["losses"] == []
    units = [stage["units"] for stage in funnel["stages"][:4]]
    assert units == sorted(units, reverse=True)
    assert funnel["units"] > units[0] >= units[2] > 0
    assert sum(own["questions"] for own in funnel["by_evidence"].values()) == funnel["questions"]


def test_a_perfect_retrieval_finds_every_indexed_page(guide):
    found = rows(guide)
    plain, perfect = found["as it is"], found["oracle retrieve"]
    assert perfect["oracle"]["missing"] > 0
    (lost,) = next(own for own in plain["funnel"]["stages"] if own["stage"] == "corpus")["losses"]
    assert perfect["oracle"]["untouched"] == lost["questions"]
    indexed = next(stage for stage in plain["funnel"]["stages"] if stage["stage"] == "index")
    after = next(stage for stage in perfect["funnel"]["stages"] if stage["stage"] == "retrieve.sparse")
    assert after["units"] == indexed["units"]
    assert perfect["metrics"]["recall@3"]["value"] >= plain["metrics"]["recall@3"]["value"]


def test_a_perfect_reader_is_right_where_the_prompt_holds_the_answer(guide):
    found = rows(guide)
    funnel, perfect = found["as it is"]["funnel"], found["oracle read"]
    assert perfect["funnel"]["by_evidence"]["all"]["right"] == funnel["by_evidence"]["all"]["questions"]
    assert perfect["differences"]["em"]["paired"]["wins"] > 0
    assert perfect["differences"]["em"]["paired"]["losses"] == 0


def test_runs_can_be_compared_and_repeated(guide):
    assert "better by em" in command(guide, "compare", "out/as_it_is", "out/oracle_read")
    assert "every prediction is identical" in command(guide, "reproduce", "out/as_it_is", "--no-cache")
