"""The main path on real PDFs and embedded models, small enough for every run of the tests."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda

from ragkit import Passage, Pipeline
from ragkit.index import DenseSettings, LocalIndex, SparseSettings
from ragkit.models import HashEncoder, ScriptedModel, SentenceTransformerEncoder, TransformersModel
from ragkit.settings import RunSettings
from ragkit.stages import AnswerRead, ContextPack, RetrieveHybrid

ROOT = Path(__file__).parent.parent.parent
GUIDE = ROOT / "corpora" / "fieldguide"


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep indexes and calls apart from the user's; converted models are shared."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("ragkit.index.local.project_dir", lambda: folder)
    monkeypatch.setattr("ragkit.engine.cache.project_dir", lambda: folder)
    return folder


def scripted_pipeline(model: ScriptedModel, **settings: Any) -> Pipeline:
    encoder = HashEncoder()
    index = LocalIndex(
        documents=("corpora/fieldguide/grain-storage.pdf", "corpora/fieldguide/weed-management.pdf"),
        dense=DenseSettings(encoder=encoder),
        sparse=SparseSettings(),
    )
    steps = [RetrieveHybrid(index=index, k=5), ContextPack(model=model, tokens=900), AnswerRead(model=model)]
    run = RunSettings(metrics=("em", "f1", "recall@5"), **settings)
    return Pipeline(steps, name="guide", models={"reader": model, "hash": encoder}, run=run)


def test_python_and_yaml_are_the_same_pipeline(home: Path) -> None:
    built = scripted_pipeline(ScriptedModel(default="14 % [1]"))
    again = Pipeline.from_yaml(built.to_yaml())
    assert again.to_yaml() == built.to_yaml()
    first, second = built.ask("How dry must wheat be?"), again.ask("How dry must wheat be?")
    assert first.to_row() == second.to_row()


def test_an_answer_cites_file_and_page_of_a_real_pdf(home: Path) -> None:
    prediction = scripted_pipeline(ScriptedModel(default="36 degrees [2]")).ask(
        "What filling angle of repose does the guide list for rough rice?"
    )
    (citation,) = prediction.citations
    assert citation.passage == prediction.context[1].id
    assert citation.source == prediction.context[1].metadata["source"]
    assert citation.page is not None and citation.box is not None
    assert "grain-storage.pdf#p8" in {f"{d.metadata['document']}#p{d.metadata['page']}" for d in prediction.documents}


def test_a_pipeline_is_a_langchain_runnable(home: Path) -> None:
    model = ScriptedModel(default="14 % [1]")
    pipeline = scripted_pipeline(model)
    chain = pipeline | RunnableLambda(lambda prediction: prediction.answer)
    assert chain.invoke("How dry must wheat be?") == "14 %"
    model.batches.clear()
    answers = pipeline.batch([f"How dry must crop {n} be?" for n in range(30)])
    assert [p.answer for p in answers] == ["14 %"] * 30
    assert max(model.batches) == 30

    async def notebook_cell() -> Any:
        inside = pipeline.invoke({"question": "How dry must rye be?"})
        return inside.answer, (await pipeline.ainvoke("How dry must rye be?")).answer

    assert asyncio.run(notebook_cell()) == ("14 %", "14 %")


def test_a_second_run_is_answered_by_the_cache(home: Path, tmp_path: Path) -> None:
    questions = GUIDE / "questions.jsonl"
    first_model = ScriptedModel(default="14 % [1]")
    first = scripted_pipeline(first_model).run(questions, out=tmp_path / "a", limit=40)
    again_model = ScriptedModel(default="14 % [1]")
    again = scripted_pipeline(again_model).run(questions, out=tmp_path / "b", limit=40)
    assert first.calls[1] == 0
    assert again.calls[0] == again.calls[1] == first.calls[0]
    assert sum(again_model.batches) == 0
    assert (tmp_path / "a" / "predictions.jsonl").read_bytes() == (tmp_path / "b" / "predictions.jsonl").read_bytes()
    written = {file.name for file in (tmp_path / "a").iterdir()}
    assert {"run.lock.yaml", "metrics.json", "report.html", "trace.jsonl"} <= written
    metrics = json.loads((tmp_path / "a" / "metrics.json").read_text())
    assert metrics["metrics"]["recall@5"]["n"] > 0


def test_failures_count_as_wrong_and_leave_the_rest_alone(home: Path, tmp_path: Path) -> None:
    def reply(prompt: str) -> str:
        if "angle of repose" in prompt.rpartition("Question:")[2]:
            raise ValueError("no reply")
        return "36° [1]"

    result = scripted_pipeline(ScriptedModel(reply=reply)).run(GUIDE / "questions.jsonl", out=tmp_path / "run")
    (failure,) = result.failures
    assert failure["error"] is not None and failure["error"]["stage"] == "answer.read"
    assert result.summary.overall.failures == 1
    position = [question.id for question in result.questions].index(failure["id"])
    assert result.summary.scores["em"][position] == 0.0
    assert result.summary.overall.metrics["em"].n == len(result.questions)


@pytest.mark.models
def test_embedded_models_answer_from_real_pages(home: Path, tmp_path: Path) -> None:
    reader = TransformersModel(model="embedded:smollm2-135m-instruct")
    encoder = SentenceTransformerEncoder(model="embedded:all-minilm-l6-v2")
    index = LocalIndex(
        documents=("corpora/fieldguide/grain-storage.pdf",),
        dense=DenseSettings(encoder=encoder),
        sparse=SparseSettings(),
    )
    steps = [
        RetrieveHybrid(index=index, k=5),
        ContextPack(model=reader, tokens=300),
        AnswerRead(model=reader, prompt="answer.read.few_shot", max_new_tokens=16),
    ]
    run = RunSettings(metrics=("f1", "recall@5", "tokens"))
    rows = [json.loads(line) for line in (GUIDE / "questions.jsonl").read_text().splitlines()]
    chosen = [row for row in rows if row["doc"].startswith("grain-storage") and row["type"] in {"text", "table"}]
    asked = tmp_path / "questions.jsonl"
    asked.write_text("".join(json.dumps(row) + "\n" for row in chosen))
    result = Pipeline(steps, run=run).run(asked, out=tmp_path / "run")
    assert not result.failures
    recall = result.summary.overall.metrics["recall@5"].value
    assert recall is not None and recall >= 0.75
    assert all(row["usage"]["model_calls"] == 1 for row in result.rows)
    again = Pipeline(steps, run=run).run(asked, out=tmp_path / "again")
    assert [row["answer"] for row in again.rows] == [row["answer"] for row in result.rows]


def test_passages_are_langchain_documents() -> None:
    from langchain_core.documents import Document

    assert isinstance(Passage(id="a", page_content="x"), Document)
