"""`ragkit memory` and `ragkit calibrate memory`."""

import json

import pytest

MEMORY = """\
models:
  words: {provider: hash}
  reader: {provider: scripted, rules: [{contains: 14 percent, reply: 14 percent}], default: unanswerable}
index:
  documents: [docs/*.jsonl]
  sparse: {}
memory: {encoder: words, path: kept}
pipeline:
- each:
    over: queries
    do:
    - memory.trigger: {tau: 0.5, theta: 1}
    - branch:
        'on': {field: vars.external, equals: true}
        then:
        - retrieve.sparse: {k: 1}
        else:
        - memory.recall: {}
- memory.store: {}
- answer.read: {model: reader}
run: {wave: 1, metrics: [hit, searches]}
"""
ROWS = [
    {"id": "wheat", "title": "wheat storage moisture", "text": "Wheat is stored at 14 percent."},
    {"id": "maize", "title": "maize drying", "text": "Maize is dried to 15 percent."},
    {"id": "barley", "title": "barley malting", "text": "Barley is malted."},
]
FILL = [
    {"question": "wheat storage moisture percent", "answers": ["14 percent"]},
    {"question": "maize drying percent", "answers": ["15 percent"]},
]
ASK = [
    {"question": "moisture of wheat storage", "answers": ["14 percent"]},
    {"question": "storage moisture wheat", "answers": ["14 percent"]},
    {"question": "barley malting", "answers": ["14 percent"], "answerable": True},
]


@pytest.fixture
def remembering(farm):
    for path in (farm / "docs").iterdir():
        path.unlink()
    for name, rows in (("docs/rows", ROWS), ("fill", FILL), ("ask", ASK)):
        (farm / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (farm / "memory.yaml").write_text(MEMORY)
    return farm


def test_info_export_import_and_clear(remembering, ragkit):
    assert ragkit("memory", "info", "memory.yaml").code == 2
    assert ragkit("run", "memory.yaml", "--questions", "fill.jsonl").code == 0
    info = ragkit("memory", "info", "memory.yaml")
    assert info.code == 0
    for text in ("kept", "passages   2", "256", '{"dimension": 256, "provider": "hash"}', '["title"]'):
        assert text in info.out
    listed = ragkit("memory", "export", "memory.yaml")
    rows = [json.loads(line) for line in listed.out.splitlines()]
    assert [(row["id"], row["title"]) for row in rows] == [(row["id"], row["title"]) for row in ROWS[:2]]
    assert rows[0]["query"] == FILL[0]["question"]
    assert ragkit("memory", "export", "memory.yaml", "--out", "kept.jsonl").out == "2 passages in kept.jsonl\n"
    assert ragkit("memory", "clear", "memory.yaml", "--id", "maize").out == "1 passage forgotten, 1 left\n"
    assert ragkit("memory", "clear", "memory.yaml", "--yes").out == "1 passage forgotten, 0 left\n"
    read = ragkit("memory", "import", "memory.yaml", "kept.jsonl", "--set", "models.words.dimension=64")
    assert read.out == "2 passages read, 2 in memory\n"
    other = ragkit("memory", "info", "memory.yaml")
    assert other.code == 0
    assert 'was made with encoder {"dimension": 64' in other.out


def test_an_import_names_the_line_that_is_wrong(remembering, ragkit):
    (remembering / "bad.jsonl").write_text(json.dumps({"id": "a", "title": "b", "text": "c"}) + "\n{}\n")
    read = ragkit("memory", "import", "memory.yaml", "bad.jsonl")
    assert read.code == 2
    assert "bad.jsonl:2: it has no 'id'" in read.err


def test_a_pipeline_without_a_lasting_memory_is_told_what_to_add(remembering, ragkit):
    text = MEMORY.replace(", path: kept", "")
    (remembering / "memory.yaml").write_text(text)
    told = ragkit("memory", "info", "memory.yaml")
    assert told.code == 2
    assert "the memory is gone after each run; name a folder" in told.err
    assert "the file has no section 'memory'" in ragkit("memory", "info", "farm.yaml").err


def test_a_run_that_goes_on_keeps_what_is_done_if_its_memory_lasts(remembering, ragkit):
    for out, yaml, share in (
        ("lasting", MEMORY, "2 questions (2 of them from an earlier start)"),
        ("passing", MEMORY.replace(", path: kept", ""), "2 questions in"),
    ):
        (remembering / "memory.yaml").write_text(yaml)
        for _ in range(2):
            went = ragkit("run", "memory.yaml", "--questions", "fill.jsonl", "--out", out)
            assert went.code == 0
        assert share in went.out


def test_calibration_chooses_the_threshold_that_saves_most_and_loses_little(remembering, ragkit):
    went = ragkit(
        "calibrate", "memory", "memory.yaml", "--fill", "fill.jsonl", "--ask", "ask.jsonl", "--taus", "0,.5,.99"
    )
    assert went.code == 0
    found = json.loads((remembering / "memory-calibration.json").read_text())
    assert found["remembered"] == 2
    assert found["encoder"] == {"provider": "hash", "dimension": 256}
    assert found["without"]["searches"] == found["without"]["items"] == 1.0
    assert [point["tau"] for point in found["curve"]] == [0, 0.5, 0.99]
    everything, right, exact = found["curve"]
    assert everything["searches"] == 0.0
    assert right["searches"] == pytest.approx(1 / 3)
    assert (right["loss"], exact["loss"]) == (0.0, 0.0)
    assert right["searches"] < exact["searches"] <= 1.0
    assert found["chosen"] == (0 if everything["loss"] <= 0.01 else 0.5)
    assert f"chosen: --set memory.trigger.tau={found['chosen']:g}" in went.out
    assert not (remembering / "kept").exists()


def test_calibration_refuses_questions_that_both_fill_and_are_asked(remembering, ragkit):
    went = ragkit("calibrate", "memory", "memory.yaml", "--fill", "fill.jsonl", "--ask", "fill.jsonl")
    assert went.code == 2
    assert "2 questions both fill the memory and are asked" in went.err
    went = ragkit("calibrate", "memory", "farm.yaml", "--fill", "fill.jsonl", "--ask", "ask.jsonl")
    assert "has no memory.trigger" in went.err
