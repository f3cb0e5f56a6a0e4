"""`ragkit index build`, `info`, `search` and `plan`."""

import json

import pytest
import yaml

from ragkit.engine import registry
from ragkit.engine.stage import Stage, stage


@stage("index_test.note", writes="vars.note")
class Note(Stage):
    """Needs no index."""

    async def run(self, question):
        return question


BROKEN = "farm.yaml", "--set", "index.sparse.k1=2"


def test_build_info_and_search(farm, ragkit):
    first = ragkit("index", "build", "farm.yaml")
    assert first.code == 0 and first.out.startswith("built: 2 passages, ")
    assert "index built (new): 2 passages\n2 files, 2 documents" in first.err
    (farm / "docs" / "barley.txt").write_text("Barley is malted.\n")
    assert ragkit("index", "build", "farm.yaml").out.startswith("updated: 3 passages, ")
    assert ragkit("index", "build", "farm.yaml").out.startswith("up to date: 3 passages, ")
    info = ragkit("index", "info", "farm.yaml")
    assert info.code == 0
    for text in (
        "passages",
        "3 files, 3 documents",
        "factory Flat",
        "method lucene",
        "dense is searched on",
        "float32",
    ):
        assert text in info.out
    found = ragkit("index", "search", "farm.yaml", "malted barley", "-k", "2")
    lines = found.out.splitlines()
    assert found.code == 0 and lines[0].startswith("  1  ") and "barley.txt" in lines[0] and "sparse #1" in lines[0]
    assert lines[1] == "     Barley is malted." and len(lines) == 4
    assert "sparse" not in ragkit("index", "search", "farm.yaml", "barley", "--part", "dense").out


def test_info_names_what_differs_and_what_was_deleted(farm, ragkit):
    (farm / "docs" / "barley.txt").write_text("Barley is malted.\n")
    (farm / "docs" / "rye.txt").write_text("Rye is baked.\n")
    where = ("--set", "index.path=kept")
    assert ragkit("index", "build", "farm.yaml", *where).code == 0
    (farm / "docs" / "rye.txt").unlink()
    assert ragkit("index", "build", "farm.yaml", *where).code == 0
    other = ragkit("index", "info", *BROKEN, *where)
    assert other.code == 0
    assert "1 deleted still in the files" in other.out
    assert "other settings: index.sparse.k1: the index has 1.5, the settings say 2.0" in other.out
    assert "is searched on" not in other.out


def test_filters(farm, ragkit):
    rows = [{"id": f"r{n}", "text": f"Rye of the year {n}.", "year": n, "tag": ["a", "b"]} for n in (2019, 2020, 2021)]
    (farm / "docs" / "rye.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    search = ("index", "search", "farm.yaml", "rye", "--set", "index.documents=[docs/*]", "--part", "sparse")
    assert len(ragkit(*search).out.splitlines()) == 6
    for test, years in (
        ("year=2020", [2020]),
        ("year>=2020", [2020, 2021]),
        ("year<2020", [2019]),
        ("source=rye", [2019, 2020, 2021]),
        ("{field: tag, contains: b}", [2019, 2020, 2021]),
        ("{negate: {field: year, is_in: [2019, 2021]}}", [2020]),
    ):
        out = ragkit(*search, "--where", test).out
        assert sorted(int(line.split("[r")[1][:4]) for line in out.splitlines() if "[r" in line) == years, test
    assert ragkit(*search, "--where", "year>=2020", "--where", "year<2021").out.count("[r") == 1
    nothing = ragkit(*search, "--where", "nowhere=x")
    assert (nothing.code, nothing.out) == (0, "nothing found: the filter lets no passage through\n")


def test_a_question_with_a_filter(farm, ragkit):
    question = "At what moisture is wheat safe?"
    assert "14 percent" in ragkit("ask", "farm.yaml", question, "--where", "source=wheat.txt").out
    out = ragkit("ask", "farm.yaml", question, "--where", "source=maize.txt", "--explain").out
    assert "maize.txt" in out and "wheat.txt" not in out
    row = {"id": "w", "question": question, "vars": {"where": {"field": "source", "equals": "maize.txt"}}}
    (farm / "questions.jsonl").write_text(json.dumps(row) + "\n")
    assert ragkit("run", "farm.yaml", "--out", "out").code == 0
    (prediction,) = map(json.loads, (farm / "out" / "predictions.jsonl").read_text().splitlines())
    assert [document["source"] for document in prediction["documents"]] == ["maize.txt"]
    lock = yaml.safe_load((farm / "out" / "run.lock.yaml").read_text())
    assert lock["devices"]["dense"].endswith(", float32")


def test_plan(farm, ragkit):
    missing = ragkit("index", "plan", "farm.yaml")
    assert missing.code == 2 and "build it first; or give --passages and --dimension" in missing.err
    given = ragkit("index", "plan", "farm.yaml", "--passages", "1000000", "--dimension", "384")
    assert given.code == 0 and "1,000,000 passages, 384 dimensions" in given.out and "no recall" in given.out
    assert "…" not in given.out
    for text in ("Flat", "1.5 GB", "768.0 MB", "HNSW32", "IVF", "PQ", "yes"):
        assert text in given.out
    (farm / "docs" / "rows.jsonl").write_text(
        "".join(json.dumps({"id": n, "text": f"row {n}"}) + "\n" for n in range(1, 60))
    )
    assert ragkit("index", "build", "farm.yaml", "--set", "index.documents=[docs/*]").code == 0
    measured = ragkit("index", "plan", "farm.yaml", "--set", "index.documents=[docs/*]", "--passages", "100000000")
    assert "recall@10 measured on 61 of the index's vectors" in measured.out and "1.000" in measured.out
    assert "needs" in measured.out
    sparse = ragkit("index", "plan", "farm.yaml", "--set", "index.dense=null")
    assert (sparse.code, sparse.err) == (
        2,
        "the index has no dense part: add 'dense' to 'index' to plan for its vectors\n",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("info", "farm.yaml"), "holds no index; build it first"),
        (("build", "none.yaml"), "none.yaml: no such file"),
        (("build", "farm.yaml", "--set", "index.documents=[nothing/*]"), "'nothing/*' matches no file"),
        (
            ("search", "farm.yaml", "x", "--part", "words"),
            "no words part: add 'words' to 'index' (it has dense, sparse)",
        ),
        (("search", "farm.yaml", "x", "--where", "source"), "--where source: write FIELD=VALUE"),
        (
            ("search", "farm.yaml", "x", "--where", "{field: x, equal: 3}"),
            "--where.equal: unknown key, did you mean 'equals'?",
        ),
        (("search", "farm.yaml", "x", "--where", "{field: x"), "not valid YAML"),
        (("search", "farm.yaml", "x", "--k", "0"), "--k"),
        (("build", "bare.yaml"), "bare.yaml: the file has no section 'index'"),
        (("plan", "bare.yaml"), "bare.yaml: the file has no section 'index'"),
    ],
)
def test_mistakes(farm, ragkit, arguments, message):
    registry.stages._parts["note"] = Note  # in what `installed` holds
    (farm / "bare.yaml").write_text("pipeline:\n  - note:\n")
    result = ragkit("index", *arguments)
    assert result.code == 2 and message in result.err and "Traceback" not in result.err
