"""ERM4's stages together, and the switches of its ablation."""

import asyncio
import json
from pathlib import Path

import pytest

from ragkit import Passage, Pipeline
from ragkit.engine.stage import stage
from ragkit.models import ScriptedModel
from ragkit.stages import AnswerClosedBook, AnswerRead, FilterKnowledge, RewritePlus

FOLDER = Path(__file__).parents[2] / "pipelines" / "erm4"
REWRITTEN = json.dumps({"rewritten_questions": ["Who built it?", "When?"], "queries": ["a", "b"]})


@pytest.fixture(autouse=True)
def no_answers_of_earlier_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def passages(*texts):
    return tuple(Passage(id=text, page_content=text, metadata={"title": f"On {text}"}) for text in texts)


def read(model, documents, **settings):
    reader = AnswerRead(model=model, prompt="answer.erm4", without_passages="ask", **settings)
    return asyncio.run(reader.run("Who?", documents, questions=("Who built it?", "When?")))


def test_the_reader_gets_the_rewritten_questions_and_numbered_sources_in_order():
    model = ScriptedModel(default="Smith")
    written = read(model, passages("second", "first"), wording="rewritten")
    (prompt,) = model.prompts
    assert "Question: Who built it? When?\n" in prompt
    assert prompt.index("Source 0 (second)\nTitle: On second\nContent: second") < prompt.index("Source 1 (first)")
    assert "None" not in prompt and written["answer"] == "Smith"


def test_without_passages_the_reader_is_told_none():
    model = ScriptedModel(default="Smith")
    assert read(model, ())["answer"] == "Smith"
    assert model.prompts[0].endswith("Question: Who?\nExternal knowledge:\nNone\nAnswer:")
    silent = AnswerRead(model=model, prompt="answer.erm4")
    assert asyncio.run(silent.run("Who?", ()))["answer"] is None and len(model.prompts) == 1


@stage("toy.find_for_erm4", writes="documents")
async def find(queries: tuple[str, ...]):
    return passages(*(f"{word} of {query}" for query in queries for word in ("yes", "no")))


CELLS = {
    "original_none": ("Who?", None),
    "original_raw": ("Who?", 4),
    "original_filtered": ("Who?", 2),
    "rewritten_none": ("Who built it? When?", None),
    "rewritten_raw": ("Who built it? When?", 4),
    "rewritten_filtered": ("Who built it? When?", 2),
}


@pytest.mark.parametrize("cell", CELLS)
def test_the_six_cells_differ_as_the_paper_says(cell):
    asked, sources = CELLS[cell]
    wording, knowledge = cell.split("_")
    reader = ScriptedModel(default="Smith")
    judge = ScriptedModel(rules=[{"contains": '"yes', "reply": "entailment"}], default="neutral")
    steps = [RewritePlus(model=ScriptedModel(default=REWRITTEN))]
    if knowledge == "none":
        steps.append(AnswerClosedBook(model=reader, wording=wording))
    else:
        steps.append(find())
        if knowledge == "filtered":
            steps.append(FilterKnowledge(model=judge, wording=wording))
        steps.append(AnswerRead(model=reader, prompt="answer.erm4", wording=wording))
    (done,) = Pipeline(steps).predict([("1", "Who?")])
    assert done.error is None and done.answer == "Smith"
    (prompt,) = reader.prompts
    assert f"Question: {asked}" in prompt
    if sources is not None:
        assert prompt.count("Content: ") == sources and "Content: yes of b" in prompt
    assert all(f'"{asked}"' in prompt for prompt in judge.prompts)


@pytest.mark.parametrize("cell", CELLS)
def test_the_files_of_the_cells_have_the_same_switches(cell):
    wording, knowledge = cell.split("_")
    pipeline = Pipeline.load(FOLDER / f"{cell}.yaml")
    stages = {step.stage.name: step.stage for step in pipeline.nodes}
    reader = stages["answer.closed_book" if knowledge == "none" else "answer.read"]
    assert reader.wording == wording
    assert ("filter.knowledge" in stages) == (knowledge == "filtered")
    assert ("retrieve.hybrid" in stages) == (knowledge != "none")
    assert ("rewrite.plus" in stages) == (cell != "original_none")
    if knowledge == "filtered":
        assert stages["filter.knowledge"].wording == wording
