"""`ragkit eval`: variants of a pipeline, and suites."""

import json
import shlex
import signal
import time

import pytest
from cli_farm import QUESTIONS, start

from ragkit.evaluation.split import part_of


def table(folder):
    return json.loads((folder / "eval.json").read_text())


def by_name(folder):
    return {row["name"]: row for row in table(folder)["rows"]}


@pytest.fixture
def many(farm):
    """More questions, so that a split has two sides."""
    rows = [QUESTIONS[n % 3] | {"id": f"{QUESTIONS[n % 3]['id']}{n}"} for n in range(30)]
    for n, row in enumerate(rows):
        row["question"] = f"{row['question']} ({n})"
    (farm / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return farm


def test_a_pipeline_alone(farm, ragkit):
    result = ragkit("eval", "farm.yaml", "--out", "out")
    assert result.code == 0
    assert "funnel: 2 questions with gold evidence, 2 pieces of it" in result.out
    (row,) = table(farm / "out")["rows"]
    assert (row["name"], row["questions"], row["differences"]) == ("as it is", 3, {})
    assert row["funnel"]["stages"][2]["stage"] == "retrieve.hybrid"
    assert (farm / "out" / "as_it_is" / "report.html").exists()
    assert "| as it is | 3 | 0 |" in (farm / "out" / "eval.md").read_text()


def test_oracles_give_the_head_room(farm, ragkit):
    (farm / "docs" / "chaff.txt").write_text("How dry must maize be? How dry must it be? How dry?\n")
    result = ragkit(
        "eval", "farm.yaml", "--set", "retrieve.hybrid.k=1", "--oracle", "retrieve", "--oracle", "retrieve+read",
        "--out", "out",
    )  # fmt: skip
    assert result.code == 0, result.err
    rows = by_name(farm / "out")
    assert rows["as it is"]["metrics"]["recall@2"]["value"] == 0.5
    perfect = rows["oracle retrieve"]
    assert perfect["metrics"]["recall@2"]["value"] == 1.0
    assert perfect["oracle"] == {"steps": ["retrieve.hybrid"], "missing": 0, "untouched": 1}
    assert perfect["base"] == "as it is"
    change = perfect["differences"]["recall@2"]
    assert change["paired"]["difference"] == 0.5
    assert change["p_holm"] == 1.0  # one question of two
    assert rows["oracle retrieve+read"]["metrics"]["em"]["value"] == 1.0
    assert "untouched" not in result.out
    assert "oracle retrieve: 1 question has no gold passage in the index" in result.out


def test_gold_that_the_index_lacks_is_counted(farm, ragkit):
    lost = QUESTIONS[0] | {"id": "lost", "supporting_ids": ["barley.txt"]}
    with (farm / "questions.jsonl").open("a") as file:
        file.write(json.dumps(lost) + "\n")
    result = ragkit("eval", "farm.yaml", "--oracle", "retrieve", "--out", "out")
    assert "oracle retrieve: 1 gold id is not in the index." in result.out
    assert by_name(farm / "out")["oracle retrieve"]["oracle"]["missing"] == 1


def test_ablations_share_the_calls_of_the_full_pipeline(farm, ragkit):
    result = ragkit("eval", "farm.yaml", "--ablate", "--out", "out")
    assert result.code == 0
    rows = by_name(farm / "out")
    assert set(rows) == {"as it is", "without context.pack"}
    assert rows["as it is"]["calls"]["made"] > 0
    assert rows["without context.pack"]["calls"]["made"] == 0  # what it asks has been asked
    assert rows["without context.pack"]["calls"]["cached"] > 0
    assert "answer.read was not left out: nothing would write 'answer'" in result.out
    assert "retrieve.hybrid was not left out: nothing would write 'documents'" in result.out


def test_a_sweep_is_a_grid_and_says_that_it_is_in_sample(farm, ragkit):
    result = ragkit(
        "eval", "farm.yaml", "--sweep", "retrieve.hybrid.k=1,2", "--sweep", "context.pack.tokens=5,100", "--out", "out"
    )
    assert result.code == 0
    rows = by_name(farm / "out")
    assert list(rows) == [
        "as it is",
        "retrieve.hybrid.k=1, context.pack.tokens=5",
        "retrieve.hybrid.k=1, context.pack.tokens=100",
        "retrieve.hybrid.k=2, context.pack.tokens=5",
        "retrieve.hybrid.k=2, context.pack.tokens=100",
    ]
    assert rows["retrieve.hybrid.k=2, context.pack.tokens=5"]["metrics"]["em"]["value"] < 1  # nothing fits
    assert rows["retrieve.hybrid.k=2, context.pack.tokens=100"]["calls"]["made"] == 0
    assert "the best of them looks better than it is" in result.out


def test_a_choice_is_made_on_other_questions_than_it_is_reported_on(many, ragkit):
    result = ragkit(
        "eval", "farm.yaml", "--sweep", "context.pack.tokens=5,100", "--select", "em", "--validation", "0.4",
        "--out", "out",
    )  # fmt: skip
    assert result.code == 0, result.err
    rows = table(many / "out")["rows"]
    assert [(row["group"], row["name"]) for row in rows] == [
        ("validation", "context.pack.tokens=5"),
        ("validation", "context.pack.tokens=100"),
        ("test", "as it is"),
        ("test", "context.pack.tokens=100"),
    ]
    ids = {
        group: {json.loads(line)["id"] for line in (many / "out" / group / name / "predictions.jsonl").open()}
        for group, name in (("validation", "context.pack.tokens=5"), ("test", "as_it_is"))
    }
    assert not ids["validation"] & ids["test"]
    assert len(ids["validation"] | ids["test"]) == 30
    assert f"context.pack.tokens=100 was chosen by em on {len(ids['validation'])} validation questions" in result.out
    assert "looks better than it is" not in result.out


def test_validation_questions_from_a_file_must_be_others(many, ragkit):
    row = {"id": "v", "question": "How dry must maize be, then?", "answers": ["15 percent"]}
    (many / "validation.jsonl").write_text(json.dumps(row) + "\n")
    arguments = ("eval", "farm.yaml", "--sweep", "context.pack.tokens=5,100", "--select", "em", "--validation")
    result = ragkit(*arguments, "validation.jsonl", "--out", "out")
    assert result.code == 0, result.err
    assert [row["questions"] for row in table(many / "out")["rows"]] == [1, 1, 30, 30]
    refused = ragkit(*arguments, "questions.jsonl", "--out", "again")
    assert refused.code == 2
    assert "30 of its questions are reported on too" in refused.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--oracle", "rerank"), "--oracle rerank: no step of the pipeline is called so"),
        (("--select", "em"), "--select and --validation go together"),
        (("--select", "em", "--validation", "0.5"), "--select chooses a point of a --sweep, but there is none"),
        (
            (
                "--set",
                "run.metrics=[em, tokens]",
                "--sweep",
                "retrieve.hybrid.k=1,2",
                "--select",
                "tokens",
                "--validation",
                "0.5",
            ),
            "choose by a metric of quality, not by a cost",
        ),
        (
            ("--sweep", "retrieve.hybrid.k=1,2", "--select", "hit", "--validation", "0.5"),
            "--select hit: the pipeline does not measure it",
        ),
        (
            (
                "--set",
                "run.judges={cites: {type: citations, model: reader}}",
                "--sweep",
                "retrieve.hybrid.k=1,2",
                "--select",
                "cites",
                "--validation",
                "0.5",
            ),
            "(it measures: em, f1, recall@2, cites.recall, cites.precision)",
        ),
        (("--sweep", "retrieve.hybrid.k=1,many"), "must be"),
        (("--sweep", "retreive.hybrid.k=1,2"), "names no section and no step"),
        (("--data", "x"), "the file is a pipeline; --data is for a suite"),
        (("--questions", "nowhere.jsonl"), "nowhere.jsonl: cannot be read"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(farm, ragkit, arguments, message):
    result = ragkit("eval", "farm.yaml", *arguments)
    assert result.code == 2
    assert message in result.err
    assert not list(farm.rglob("predictions.jsonl"))


SUITE = """\
name: small
metrics: [em, recall@2]
oracles: [retrieve]
pipelines: [farm.yaml, closed.yaml]
sets:
  cereals:
    documents: ["*.txt"]
    questions: questions.jsonl
  ranked:
    folder: ranked
    documents: [corpus.jsonl]
    questions: queries.dev.jsonl
    task: ranking
    metrics: [ndcg@5]
"""
CLOSED = """\
name: closed
models:
  reader: {provider: scripted, default: 15 percent}
pipeline:
  - answer.closed_book: {model: reader}
run:
  metrics: [em]
"""


@pytest.fixture
def suite(farm):
    (farm / "suite.yaml").write_text(SUITE)
    (farm / "closed.yaml").write_text(CLOSED)
    (farm / "data").mkdir()
    cereals = (farm / "docs").rename(farm / "data" / "cereals")
    (farm / "questions.jsonl").rename(cereals / "questions.jsonl")
    ranked = farm / "ranked"
    ranked.mkdir()
    (ranked / "corpus.jsonl").write_text('{"id": "a", "text": "wheat"}\n{"id": "b", "text": "rye"}\n')
    (ranked / "queries.dev.jsonl").write_text('{"id": "1", "question": "wheat"}\n')
    (ranked / "qrels.dev.tsv").write_text("1\ta\t2\n1\tb\t1\n")
    return farm


def test_a_suite_runs_every_pipeline_on_every_set(suite, ragkit):
    result = ragkit("eval", "suite.yaml", "--data", "data", "--out", "out")
    assert result.code == 0, result.err
    rows = table(suite / "out")["rows"]
    assert [(row["group"], row["name"], row["base"]) for row in rows] == [
        ("cereals", "farm", None),
        ("cereals", "farm, oracle retrieve", "farm"),
        ("cereals", "closed", "farm"),
        ("ranked", "farm", None),
        ("ranked", "farm, oracle retrieve", "farm"),
    ]
    values = {(row["group"], row["name"]): row["metrics"] for row in rows}
    assert values["cereals", "farm"]["em"]["value"] == 1.0
    assert values["cereals", "closed"]["em"]["value"] == pytest.approx(1 / 3)
    assert values["ranked", "farm"]["ndcg@5"]["value"] > 0
    assert "em" not in values["ranked", "farm"]
    assert "ranked: closed ranks nothing and was left out." in result.out
    assert "cereals, closed: --oracle retrieve: no step of the pipeline is called so" in result.out
    markdown = (suite / "out" / "eval.md").read_text()
    assert "## cereals" in markdown
    assert "data/" not in markdown + (suite / "out" / "eval.json").read_text()
    trace = json.loads((suite / "out" / "ranked" / "farm" / "trace.jsonl").read_text())
    assert [event["stage"] for event in trace["stages"]] == ["retrieve.hybrid"]  # no reader for a ranking


def test_a_suite_goes_on_where_it_was(suite, ragkit):
    whole = ragkit("eval", "suite.yaml", "--data", "data", "--out", "out")
    before = table(suite / "out")
    (suite / "out" / "cereals" / "closed" / "predictions.jsonl").unlink()
    again = ragkit("eval", "suite.yaml", "--data", "data", "--out", "out")
    assert (whole.code, again.code) == (0, 0)
    after = table(suite / "out")
    for old, new in zip(before["rows"], after["rows"], strict=True):
        assert [old["metrics"][name] for name in old["quality"]] == [new["metrics"][name] for name in old["quality"]]
        assert old["funnel"] == new["funnel"]


def test_only_some_sets(suite, ragkit):
    result = ragkit("eval", "suite.yaml", "--data", "nowhere", "--only", "ranked", "--limit", "1", "--out", "out")
    assert result.code == 0, result.err
    assert {row["group"] for row in table(suite / "out")["rows"]} == {"ranked"}
    assert "there is no set 'rankd'" in ragkit("eval", "suite.yaml", "--only", "rankd").err


def test_a_suite_may_keep_to_the_part_that_nothing_was_trained_on(suite, ragkit):
    cereals = suite / "data" / "cereals"
    asked = [{"id": str(n), "question": f"wheat {n}?", "answers": ["y"]} for n in range(30)]
    (cereals / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    (suite / "suite.yaml").write_text(f"part: test\n{SUITE}")
    assert ragkit("eval", "suite.yaml", "--data", "data", "--only", "cereals", "--out", "out").code == 0
    kept = {row["id"] for row in asked if part_of(row["id"]) == "test"}
    lines = (suite / "out" / "cereals" / "farm" / "predictions.jsonl").read_text().splitlines()
    assert {json.loads(line)["id"] for line in lines} == kept and 0 < len(kept) < 30


def test_questions_of_several_files(suite, ragkit):
    cereals = suite / "data" / "cereals"
    (cereals / "more.jsonl").write_text(json.dumps({"id": "x", "question": "maize 9?", "answers": ["y"]}) + "\n")
    changed = SUITE.replace("questions: questions.jsonl", "questions: [questions.jsonl, more.jsonl]")
    (suite / "suite.yaml").write_text(changed)
    result = ragkit("eval", "suite.yaml", "--data", "data", "--only", "cereals", "--out", "out")
    assert result.code == 0, result.err
    assert {row["questions"] for row in table(suite / "out")["rows"]} == {4}
    (cereals / "more.jsonl").write_text(json.dumps(QUESTIONS[0]) + "\n")
    refused = ragkit("eval", "suite.yaml", "--data", "data", "--only", "cereals", "--out", "again")
    assert refused.code == 2
    assert "set 'cereals': a question id is in two of the files questions.jsonl, more.jsonl" in refused.err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("    task: ranking", "    task: rank", "suite.yaml:13:11: sets.ranked.task: unknown value 'rank'"),
        ("    questions: questions.jsonl\n", "", "suite.yaml:6:3: sets.cereals: missing key 'questions'"),
        ("name: small", "nmae: small", "suite.yaml:1:1: unknown key 'nmae', did you mean 'name'?"),
        ("metrics: [em, recall@2]", "metrics: [me]", "suite.yaml:2:11: suite.metrics, item 1: unknown metric 'me'"),
        ("    documents: [corpus.jsonl]", "    docs: [corpus.jsonl]", "sets.ranked: unknown key 'docs'"),
        ("pipelines: [farm.yaml, closed.yaml]", "pipelines: []", "suite.yaml:4:12: suite.pipelines"),
        ("closed.yaml]", "close.yaml]", "close.yaml: no such file, did you mean 'closed.yaml'?"),
        ("corpus.jsonl]", "corps.jsonl]", "documents: 'corps.jsonl' matches no file"),
        ("queries.dev.jsonl", "queries.jsonl", "queries.jsonl: cannot be read"),
        ("oracles: [retrieve]", "oracles: [retreive]", "oracles: 'retreive' fits no step of any pipeline"),
        ("farm.yaml, closed.yaml", "farm.yaml, farm.yaml", "pipelines: two are called 'farm'"),
    ],
)
def test_mistakes_in_a_suite_are_placed_before_anything_runs(suite, ragkit, old, new, message):
    assert old in SUITE
    (suite / "suite.yaml").write_text(SUITE.replace(old, new))
    result = ragkit("eval", "suite.yaml", "--data", "data", "--out", "out")
    assert result.code == 2
    assert message in result.err
    assert not (suite / "out").exists()


def test_options_of_pipelines_do_not_fit_suites(suite, ragkit):
    result = ragkit("eval", "suite.yaml", "--ablate", "--questions", "x")
    assert result.code == 2
    assert "the file is a suite; --questions, --ablate is for a pipeline" in result.err


def test_ctrl_c_tells_how_to_go_on(many):
    slow = ("--set", "models.reader.seconds=0.05", "--set", "run.in_flight=1")
    process = start("eval", "farm.yaml", "--ablate", *slow, cwd=many)
    deadline = time.monotonic() + 600
    while not any(file.read_bytes() for file in many.glob("runs/farm/*/as_it_is/predictions.jsonl")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 130, err
    (folder,) = (many / "runs" / "farm").iterdir()
    printed = shlex.split(err.splitlines()[-1])
    assert printed == ["ragkit", "eval", "farm.yaml", "--ablate", *slow, "--out", str(folder.relative_to(many))]
    resumed = start(*printed[1:], cwd=many)
    _, err = resumed.communicate(timeout=600)
    assert resumed.returncode == 0, err
    assert [row["questions"] for row in table(folder)["rows"]] == [30, 30]
