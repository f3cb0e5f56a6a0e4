"""`ragkit run`."""

import json
import shlex
import signal
import time

import pytest
import yaml
from cli_farm import QUESTIONS, start


def rows(folder):
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]


def test_a_run_from_questions_to_report(farm, ragkit):
    result = ragkit("run", "farm.yaml", "--out", "out")
    assert result.code == 0
    assert "3 questions in " in result.out
    assert f"report: {farm.joinpath('out', 'report.html').relative_to(farm)}" in result.out
    assert [row["answer"] for row in rows(farm / "out")] == ["14 percent", "15 percent", None]
    metrics = json.loads((farm / "out" / "metrics.json").read_text())
    assert metrics
    assert "<title>farm</title>" in (farm / "out" / "report.html").read_text()
    lock = yaml.safe_load((farm / "out" / "run.lock.yaml").read_text())
    assert lock["pipeline"][2] == {
        "answer.read": {
            "model": "reader",
            "prompt": "answer.read",
            "max_new_tokens": 32,
            "abstain": "unanswerable",
            "contrast": False,
            "without_passages": "abstain",
            "wording": "original",
        }
    }
    for metric in ("em", "f1", "recall@2"):
        assert metric in result.out


def test_without_out_the_folder_is_new_each_time(farm, ragkit):
    assert ragkit("run", "farm.yaml").code == 0
    second = ragkit("run", "farm.yaml")
    assert len(list((farm / "runs" / "farm").iterdir())) == 2
    assert "100% of" in second.out  # every call came from the cache


def test_other_questions_and_a_limit(farm, ragkit):
    (farm / "more.jsonl").write_text("".join(json.dumps({"question": f"maize {n}?"}) + "\n" for n in range(5)))
    result = ragkit("run", "farm.yaml", "--questions", "more.jsonl", "--limit", "2", "--out", "out")
    assert result.code == 0
    assert [row["id"] for row in rows(farm / "out")] == ["q1", "q2"]


def test_failed_questions_are_listed_and_counted(farm, ragkit):
    result = ragkit("run", "farm.yaml", "--set", "models.reader.default=null", "--out", "out")
    assert result.code == 1
    assert "1 of 3 questions failed (counted as wrong):" in result.out
    assert "  n: answer.read: RagkitError: no rule of the scripted model fits" in result.out
    assert "Traceback" not in result.out + result.err
    assert [row["error"] is None for row in rows(farm / "out")] == [True, True, False]


def test_questions_that_failed_alike_are_listed_together(farm, ragkit):
    result = ragkit("run", "farm.yaml", "--set", "models.reader={provider: scripted}", "--out", "out")
    assert result.code == 1
    assert "  w, m, n: answer.read: RagkitError: no rule of the scripted model fits" in result.out
    assert result.out.count("RagkitError") == 1


def test_what_judges_could_not_say_and_how_far_they_agree_is_shown(farm, ragkit):
    judges = "{right: {type: rubric, models: [fair, odd], scale: pass_fail}}"
    fair = '{provider: scripted, default: \'{"reason": "", "grade": "pass"}\'}'
    odd = '{provider: scripted, rules: [{contains: maize, reply: Good}], default: \'{"reason": "", "grade": "fail"}\'}'
    changes = ("--set", f"models.fair={fair}", "--set", f"models.odd={odd}", "--set", f"run.judges={judges}")
    result = ragkit("run", "farm.yaml", *changes, "--out", "out")
    assert result.code == 0, result.err
    assert "right.odd: 1 question not measured, in no mean (why: judgements.jsonl)" in result.out
    assert "right: fair and odd agree with kappa 0.00 (0.00 to 0.00) on 1 question, the same grade for 0%" in result.out
    told = ragkit("explain", "out", "m").out
    assert "odd: 'ReplyError: the reply is not JSON" in told.replace("\n", " ")
    assert "? ''" not in told


def test_a_file_is_no_run_folder(farm, ragkit):
    result = ragkit("run", "farm.yaml", "--out", "questions.jsonl")
    assert result.code == 2
    assert "questions.jsonl: is a file; a run needs a folder" in result.err


def test_the_folder_of_another_run_is_refused(farm, ragkit):
    assert ragkit("run", "farm.yaml", "--out", "out").code == 0
    before = (farm / "out" / "predictions.jsonl").read_bytes()
    result = ragkit(
        "run", "farm.yaml", "--out", "out", "--set", "answer.read.abstain=none", "--set", "index.sparse.b=0.5"
    )
    assert result.code == 2
    assert "out: holds a run with other settings" in result.err
    assert "index.sparse.b: 0.75 then, 0.5 now" in result.err
    assert "pipeline[2].answer.read.abstain: 'unanswerable' then, 'none' now" in result.err
    assert "Choose another folder with --out" in result.err
    assert (farm / "out" / "predictions.jsonl").read_bytes() == before


def test_changed_questions_are_another_run(farm, ragkit):
    assert ragkit("run", "farm.yaml", "--out", "out").code == 0
    with (farm / "questions.jsonl").open("a") as file:
        file.write(json.dumps(QUESTIONS[0] | {"id": "again"}) + "\n")
    result = ragkit("run", "farm.yaml", "--out", "out")
    assert result.code == 2
    assert "questions.count: 3 then, 4 now" in result.err


def test_an_unfinished_run_is_completed(farm, ragkit):
    assert ragkit("run", "farm.yaml", "--out", "out").code == 0
    predictions = farm / "out" / "predictions.jsonl"
    whole = predictions.read_bytes()
    first = whole.index(b"\n") + 1
    predictions.write_bytes(whole[: first + 25])  # the second line is cut, as by a kill
    result = ragkit("run", "farm.yaml", "--out", "out")
    assert result.code == 0
    assert "3 questions (1 of them from an earlier start)" in result.out
    assert predictions.read_bytes() == whole


def test_a_missing_questions_file(farm, ragkit):
    result = ragkit("run", "farm.yaml", "--questions", "nowhere.jsonl")
    assert result.code == 2
    assert result.err.startswith("nowhere.jsonl: cannot be read: ")
    assert "No such file" in result.err
    assert not (farm / "runs").exists()


def test_no_questions_file_at_all(farm, ragkit):
    result = ragkit("run", "farm.yaml", "--set", "run.questions=null")
    assert result.code == 2
    assert result.err == "no questions: name a file with --questions, or in the pipeline under 'run: questions:'\n"


def test_bad_lines_are_named_by_number(farm, ragkit):
    lines = ['{"question": "a"}', "{bad", "", '{"answers": ["x"]}', "[1]", '{"question": "b", "id": "q1"}']
    (farm / "questions.jsonl").write_text("\n".join(lines))
    result = ragkit("run", "farm.yaml")
    assert result.code == 2
    named = [line.partition(": ")[0] for line in result.err.splitlines()[1:]]
    assert named == [f"questions.jsonl:{number}" for number in (2, 4, 5, 6)]
    assert result.err.startswith("4 bad lines in the questions file:\n")
    assert not (farm / "runs").exists()


@pytest.mark.parametrize("limit", ["0", "-1", "many"])
def test_a_limit_that_is_none(farm, ragkit, limit):
    result = ragkit("run", "farm.yaml", "--limit", limit)
    assert result.code == 2
    assert "--limit" in result.err


def test_ctrl_c_before_the_first_question(farm, ragkit, monkeypatch):
    from ragkit import Pipeline

    def stopped(*_args, **_settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(Pipeline, "run", stopped)
    result = ragkit("run", "farm.yaml")
    assert result.code == 130
    assert "Stopped. No question was asked yet; what was read and embedded is kept." in result.err


def test_ctrl_c_tells_how_to_go_on_and_that_works(farm):
    questions = ({"id": str(n), "question": f"Is maize {n}?", "answers": ["15 percent"]} for n in range(9))
    (farm / "questions.jsonl").write_text("".join(json.dumps(question) + "\n" for question in questions))
    slow = ("--set", "models.reader.seconds=0.2", "--set", "run.in_flight=1")
    process = start("run", "farm.yaml", *slow, cwd=farm)
    deadline = time.monotonic() + 600
    while not any(len(file.read_bytes().splitlines()) >= 2 for file in farm.glob("runs/farm/*/predictions.jsonl")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 130, err
    assert "Stopped. Everything answered so far is kept. To go on:" in err
    assert "Traceback" not in err

    (folder,) = (farm / "runs" / "farm").iterdir()
    kept = rows(folder)
    assert 2 <= len(kept) < 9
    printed = shlex.split(err.splitlines()[-1])
    assert printed == ["ragkit", "run", "farm.yaml", *slow, "--out", str(folder.relative_to(farm))]

    resumed = start(*printed[1:], cwd=farm)
    out, err = resumed.communicate(timeout=600)
    assert resumed.returncode == 0, err
    assert f"9 questions ({len(kept)} of them from an earlier start)" in out
    assert rows(folder)[: len(kept)] == kept
    assert [row["answer"] for row in rows(folder)] == ["15 percent"] * 9
