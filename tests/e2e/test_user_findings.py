"""What a new user ran into once, and must not again."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ragkit import Pipeline
from ragkit.config.problems import ConfigError
from ragkit.engine.cache import CallCache
from ragkit.errors import InputError, RagkitError
from ragkit.evaluation.questions import read_questions

YAML = """
models:
  fake: {provider: scripted, default: "14 percent [1]"}
index:
  documents: ["documents/**/*"]
  sparse: {stemmer: english}
pipeline:
  - retrieve.sparse: {k: 2}
  - answer.read: {model: fake, prompt: PROMPT}
run: {metrics: [em]}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAGKIT_HOME", str(tmp_path / "home"))
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "storage.txt").write_text("Wheat is stored at 14 percent moisture.")
    return tmp_path


def pipeline(prompt: str = "answer.read") -> Pipeline:
    return Pipeline.from_yaml(YAML.replace("PROMPT", prompt))


def test_an_edited_prompt_counts_at_once(place: Path) -> None:
    prompt = place / "own.jinja"
    prompts = []
    for text in ("ONE {{ question }}", "TWO {{ question }}"):
        prompt.write_text(text)
        loaded = pipeline("own.jinja")
        loaded.ask("How dry is wheat?")
        prompts.append(loaded.models["fake"].prompts)  # type: ignore[attr-defined]
    assert prompts == [["ONE How dry is wheat?"], ["TWO How dry is wheat?"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{% for x in ", "prompt 'own.jinja': line 1: "),
        ("{{ nothere }} {{ question }}", "uses nothere, but the stage gives only question, passages, abstain"),
        ("  \n", "own.jinja: the prompt is empty"),
    ],
)
def test_a_broken_prompt_is_found_when_the_pipeline_loads(place: Path, text: str, message: str) -> None:
    (place / "own.jinja").write_text(text)
    with pytest.raises(ConfigError) as caught:
        pipeline("own.jinja")
    assert message in str(caught.value)


def test_skipped_files_are_shown(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    (place / "documents" / "empty.pdf").write_bytes(b"")
    pipeline().ask("How dry is wheat?")
    (record,) = [record for record in caplog.records if "skipped" in record.getMessage()]
    assert record.levelname == "WARNING"
    assert "skipped empty.pdf" in record.getMessage()


def test_a_folder_that_links_to_itself_is_read_once(place: Path) -> None:
    (place / "documents" / "loop").symlink_to(place / "documents")
    loaded = pipeline()
    assert [d.id for d in loaded.ask("How dry is wheat?").documents] == ["storage.txt"]


def test_no_questions_is_not_all_questions(place: Path) -> None:
    with pytest.raises(InputError):
        pipeline().run(["one", "two"], limit=0)


def test_questions_may_be_mappings(place: Path) -> None:
    rows = [{"question": "How dry is wheat?", "answers": ["14 percent"]}, {"id": "b", "question": "How wet?"}]
    experiment = pipeline().run(rows, out=place / "run")  # type: ignore[arg-type]
    assert [question.id for question in experiment.questions] == ["q1", "b"]
    assert experiment.summary.overall.metrics["em"].value == 1.0
    with pytest.raises(InputError, match="question 1 of the list: unknown key 'answer', did you mean 'answers'"):
        pipeline().run([{"question": "How dry is wheat?", "answer": ["14"]}])  # type: ignore[arg-type]


def test_a_misspelt_key_of_a_question_is_named(place: Path) -> None:
    (place / "q.jsonl").write_text('{"question": "x", "answer": ["y"]}\n')
    with pytest.raises(InputError, match=r"q.jsonl:1: unknown key 'answer', did you mean 'answers'\?"):
        read_questions(place / "q.jsonl")


@pytest.mark.parametrize("question", ["", "   "])
def test_an_empty_question_is_refused(place: Path, question: str) -> None:
    with pytest.raises(InputError, match="is empty"):
        pipeline().ask(question)


def test_a_cache_damaged_in_the_middle_is_named(place: Path) -> None:
    path = place / "calls.sqlite"
    cache = CallCache(path)
    cache.close()
    with sqlite3.connect(path) as db:
        db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 3000) "
                   "INSERT INTO calls SELECT randomblob(16), randomblob(200), 0, 1, 1, 0.0 FROM n")  # fmt: skip
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    data = bytearray(path.read_bytes())
    data[8192:200_000] = b"\xff" * (200_000 - 8192)
    path.write_bytes(data)
    cache = CallCache(path)
    with pytest.raises(RagkitError, match=r"calls\.sqlite: the call cache is damaged .* delete the file"):
        cache.lookup([bytes([n]) * 16 for n in range(256)])


def test_damaged_passages_are_built_again(place: Path) -> None:
    pipeline().ask("How dry is wheat?")
    (store,) = (place / "home" / "indexes").rglob("passages.sqlite")
    store.write_bytes(b"junk" * 1000)
    assert pipeline().ask("How dry is wheat?").documents[0].id == "storage.txt"


def test_a_damaged_line_of_a_run_is_asked_again(place: Path) -> None:
    questions: Any = ["one", "two", "three"]
    pipeline().run(questions, out=place / "run")
    predictions = place / "run" / "predictions.jsonl"
    whole = predictions.read_bytes()
    lines = whole.splitlines(keepends=True)
    predictions.write_bytes(lines[0] + b"{broken\n" + lines[2])
    experiment = pipeline().run(questions, out=place / "run")
    assert experiment.resumed == 2
    assert predictions.read_bytes() == whole


def test_predictions_print_short(place: Path) -> None:
    prediction = pipeline().ask("How dry is wheat?")
    assert repr(prediction) == "Prediction('question', answer='14 percent', cites=[storage.txt], 1 documents)"
