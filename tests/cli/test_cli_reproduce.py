"""`ragkit reproduce`."""

import json

import pytest
import yaml


@pytest.fixture
def run(farm, ragkit):
    assert ragkit("run", "farm.yaml", "--out", "out").code == 0
    return farm / "out"


def test_an_identical_repetition(run, ragkit):
    (run.parent / "questions.jsonl").unlink()  # a run keeps what it was asked
    (run.parent / "farm.yaml").unlink()
    result = ragkit("reproduce", "out", "--out", "again")
    assert result.code == 0, result.err
    assert "settings, models, prompts, data and versions are those of the run" in result.out
    assert "every prediction is identical" in result.out
    again = run.parent / "again"
    assert (again / "predictions.jsonl").read_bytes() == (run / "predictions.jsonl").read_bytes()
    assert (again / "run.lock.yaml").read_bytes() == (run / "run.lock.yaml").read_bytes()


def calls(folder):
    rows = [json.loads(line) for line in (folder / "trace.jsonl").open()]
    return {call["source"] for row in rows for event in row["stages"] for call in event.get("calls", ())}


def test_without_the_cache_everything_is_computed(run, ragkit):
    assert ragkit("reproduce", "out", "--out", "cached").code == 0
    assert ragkit("reproduce", "out", "--no-cache", "--out", "anew").code == 0
    assert calls(run.parent / "cached") == {"cache"}
    assert "cache" not in calls(run.parent / "anew")


def test_by_default_it_goes_into_the_runs_folder(run, ragkit):
    assert ragkit("reproduce", "out").code == 0
    (again,) = (run / "again").iterdir()
    assert (again / "predictions.jsonl").exists()


def change(lock_file, **changes):
    lock = yaml.safe_load(lock_file.read_text())
    for path, value in changes.items():
        *keys, last = path.split("__")
        data = lock
        for key in keys:
            data = data[int(key) if key.isdigit() else key]
        data[last] = value
    lock_file.write_text(yaml.safe_dump(lock))


def test_a_changed_document_is_named_with_the_first_divergence(run, ragkit):
    wheat = run.parent / "docs" / "wheat.txt"
    wheat.write_text("Winter wheat is kept safe for a year at 14 percent moisture. It is a cereal.\n")
    result = ragkit("reproduce", "out", "--out", "again")
    assert result.code == 1
    assert "differs: fingerprints.index: " in result.err
    assert "first divergence: question w, stage " in result.out
    assert "\n  calls[0].value[0][1]\n    then  " in result.out


def test_another_reply_of_a_model_is_found_at_its_stage(run, ragkit):
    rows = [json.loads(line) for line in (run / "predictions.jsonl").open()]
    rows[1]["answer"] = "16 percent"
    (run / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    traces = [json.loads(line) for line in (run / "trace.jsonl").open()]
    for row in traces:
        if row["id"] == "m":
            row["stages"][-1]["wrote"]["answer"] = "16 percent"
            row["stages"][-1]["calls"][0]["value"]["text"] = "16 percent [1]"
    (run / "trace.jsonl").write_text("".join(json.dumps(row) + "\n" for row in traces))
    result = ragkit("reproduce", "out", "--out", "again")
    assert result.code == 1
    assert "1 of 3 questions came out differently" in result.out
    assert "first divergence: question m, stage answer.read" in result.out
    assert '    then  "16 percent [1]"\n    now   "15 percent [1]"' in result.out


def test_other_versions_are_named(run, ragkit):
    change(run / "run.lock.yaml", versions__python="3.9.0")
    result = ragkit("reproduce", "out", "--out", "again")
    assert result.code == 0  # what came out is the same
    assert 'differs: versions.python: "3.9.0" then, ' in result.err
    assert "settings, models, prompts, data and versions are those of the run" not in result.out


def test_oracle_runs_are_repeated_as_such(farm, ragkit):
    assert ragkit("eval", "farm.yaml", "--oracle", "retrieve", "--out", "out").code == 0
    result = ragkit("reproduce", "out/oracle_retrieve", "--out", "again")
    assert result.code == 0, result.out + result.err
    trace = json.loads((farm / "again" / "trace.jsonl").read_text().splitlines()[0])
    assert trace["stages"][0]["wrote"]["documents"][0]["hits"][0][0] == "oracle"


def test_what_cannot_be_repeated(run, ragkit):
    assert "holds no run" in ragkit("reproduce", "docs").err
    change(run / "run.lock.yaml", python_only="a function")
    assert "its pipeline was built in Python" in ragkit("reproduce", "out").err


def test_secrets_are_not_in_a_lock(run, ragkit):
    change(run / "run.lock.yaml", models__reader__api_key="***")
    result = ragkit("reproduce", "out")
    assert result.code == 2
    assert "the pipeline needs one: models.reader.api_key" in result.err
