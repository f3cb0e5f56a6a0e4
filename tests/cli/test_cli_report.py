import json

import pytest


@pytest.fixture
def run(farm, ragkit):
    assert ragkit("run", "farm.yaml", "--out", "run").code == 0
    return farm / "run"


def test_a_report_is_written_again_as_it_was(run, ragkit):
    before = (run / "report.html").read_bytes()
    (run / "report.html").unlink()
    result = ragkit("report", run)
    assert result.code == 0
    assert "report.html" in result.out
    assert (run / "report.html").read_bytes() == before


def test_pages_that_have_no_pictures_are_left_out(run, ragkit):
    assert ragkit("report", run, "--pages").code == 0


def test_a_question_is_explained(run, ragkit):
    result = ragkit("explain", run, "w")
    assert result.code == 0
    for expected in (
        "At what moisture is wheat safe?", "14 percent", "cites [1]", "wheat.txt", "em 1", "retrieve.hybrid", "dense #",
        "context.pack", "Final prompt, sent by answer.read", "ScriptedModel generate",
    ):  # fmt: skip
        assert expected in result.out
    assert "14 percent moisture" in ragkit("explain", run, "w", "--full").out


def test_an_abstention_is_explained(run, ragkit):
    out = ragkit("explain", run, "n").out
    assert "none: the question is unanswerable" in out


def test_markup_in_texts_is_text(farm, ragkit):
    question = {"id": "[red]x[/red]", "question": "[bold]At what moisture is wheat safe?[/bold]", "answers": ["[/]"]}
    (farm / "questions.jsonl").write_text(json.dumps(question) + "\n")
    assert ragkit("run", "farm.yaml", "--out", "run").code == 0
    out = ragkit("explain", "run", "[red]x[/red]").out
    assert "[bold]At what moisture is wheat safe?[/bold]" in out
    assert "[/]" in out


def test_no_text_commands_the_terminal(farm, ragkit):
    hostile = "At what moisture is wheat safe\x1b[31m \u202eeht\u202c \x9b2J?"
    (farm / "questions.jsonl").write_text(json.dumps({"id": "w", "question": hostile, "answers": ["14\x07"]}) + "\n")
    assert ragkit("run", "farm.yaml", "--out", "run").code == 0
    out = ragkit("explain", "run", "w").out
    assert "At what moisture is wheat safe\u241b[31m" in out
    assert not set(out) & set("\x1b\x07\x9b\u202e\u202c")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("run.lock.yaml", "a: [", "run.lock.yaml: the file is damaged"),
        ("run.lock.yaml", "[]", "run.lock.yaml: the file is damaged, or not of a run"),
        ("metrics.json", "{", "metrics.json: the file is damaged"),
        ("metrics.json", '{"questions": 3}', "of another version (it has no 'curves')"),
        ("scores.jsonl", '{"id": "w"}\nx\n', "scores.jsonl:2: the line is damaged"),
        ("predictions.jsonl", "", "predictions.jsonl: 3 questions have no prediction, the first is 'w'"),
        ("predictions.jsonl", '{"id": "w"}\n', "predictions.jsonl:1: the line is damaged or of another version"),
        (
            "predictions.jsonl",
            "[]\n",
            "the line is damaged or of another version (it is no object)",
        ),
        ("predictions.jsonl", None, "predictions.jsonl: there is no such file"),
    ],
)
def test_a_damaged_run_is_named(run, ragkit, name, content, message):
    (run / name).unlink()
    if content is not None:
        (run / name).write_text(content)
    for command in (("report", "run"), ("explain", "run", "w"), ("trec", "run")):
        result = ragkit(*command)
        assert result.code == 2, result.err
        assert message in result.err
        assert "not expect" not in result.err


def test_what_is_no_run_or_no_question_is_said(run, ragkit, tmp_path):
    missing = ragkit("explain", run, "ww")
    assert missing.code == 2
    assert "no question 'ww', did you mean 'w'?" in missing.err
    for command in (("report",), ("explain",)):
        nothing = ragkit(*command, tmp_path, *(["w"] if command == ("explain",) else []))
        assert nothing.code == 2
        assert "holds no run" in nothing.err
