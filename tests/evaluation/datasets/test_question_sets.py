"""Questions in the forms in which sets are published."""

import gzip
import json

import pytest

from ragkit.errors import InputError
from ragkit.evaluation.datasets import load_questions
from ragkit.evaluation.datasets.hub import hub_question
from ragkit.evaluation.questions import Question


def write(path, *rows):
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_a_plain_path_is_ragkits_own_form(tmp_path):
    path = write(tmp_path / "dev.jsonl.gz", {"question": "Who?", "answers": ["x"]}, {"question": "What?"})
    assert load_questions(path) == [Question("q1", "Who?", ("x",)), Question("q2", "What?")]
    assert load_questions(str(path), 1) == [Question("q1", "Who?", ("x",))]


def test_qrels_beside_the_queries_of_a_split_are_read(tmp_path):
    rows = [{"id": "1", "question": "a?"}, {"id": "2", "question": "b?", "supporting_ids": ["own"]}]
    write(tmp_path / "queries.dev.jsonl.gz", *rows)
    (tmp_path / "qrels.dev.tsv").write_text("query-id\tcorpus-id\tscore\n1\td1\t1\n1\td2\t2\n1\td3\t0\n2\td1\t1\n")
    first, second = load_questions(tmp_path / "queries.dev.jsonl.gz")
    assert first.relevance == {"d1": 1, "d2": 2, "d3": 0}
    assert first.supporting_ids == ("d2", "d1")
    assert second.supporting_ids == ("own",)
    assert second.relevance == {"d1": 1}


def test_qrels_of_another_split_are_not(tmp_path):
    write(tmp_path / "queries.dev.jsonl", {"id": "1", "question": "a?"})
    (tmp_path / "qrels.test.tsv").write_text("1\td1\t1\n")
    assert load_questions(tmp_path / "queries.dev.jsonl")[0].relevance == {}


def test_flashrag(tmp_path):
    path = write(
        tmp_path / "dev.jsonl",
        {
            "id": "dev_0",
            "question": "Who?",
            "golden_answers": ["x", "y"],
            "metadata": {
                "type": "bridge",
                "level": "hard",
                "supporting_facts": {"title": ["A", "B", "A"], "sent_id": [0, 1, 2]},
            },
        },
        {"id": 7, "question": "When?", "golden_answers": ["1990"]},
    )
    first, second = load_questions(f"flashrag:{path}")
    assert (first.answers, first.supporting_ids, first.type) == (("x", "y"), ("A", "B"), "bridge")
    assert first.extra["level"] == "hard"
    assert second == Question("7", "When?", ("1990",))


def test_bad_flashrag_lines_are_named(tmp_path):
    path = write(
        tmp_path / "dev.jsonl", {"question": "Who?", "answers": ["x"]}, ["no object"], {"golden_answers": ["x"]}
    )
    with pytest.raises(InputError) as failure:
        load_questions(f"flashrag:{path}")
    named = str(failure.value).splitlines()
    assert named[0] == "3 bad lines in the questions file:"
    assert named[1] == f"{path}:1: missing key 'golden_answers'"
    assert named[3].startswith(f"{path}:3: missing key 'question'")


@pytest.fixture
def beir(tmp_path):
    folder = tmp_path / "scifact"
    write(
        folder / "queries.jsonl",
        {"_id": "1", "text": "first query", "metadata": {"url": "u"}},
        {"_id": "2", "text": "not judged"},
        {"_id": "3", "text": "third query"},
    )
    for split, line in {"test": "1\td1\t2\n3\td9\t0\n", "train": "3\td2\t1\n"}.items():
        path = folder / "qrels" / f"{split}.tsv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"query-id\tcorpus-id\tscore\n{line}")
    return folder


def test_beir_takes_the_judged_queries_of_a_split(beir):
    first, third = load_questions(f"beir:{beir}")
    assert first == Question("1", "first query", (), ("d1",), extra={"url": "u"}, relevance={"d1": 2})
    assert (third.id, third.supporting_ids, third.relevance) == ("3", (), {"d9": 0})
    assert [q.id for q in load_questions(f"beir:{beir}:train")] == ["3"]
    assert [q.id for q in load_questions(f"beir:{beir}", 1)] == ["1"]


def test_what_is_missing_of_a_beir_folder_is_named(beir, tmp_path):
    with pytest.raises(InputError, match=r"no qrels/tset.tsv, did you mean 'test'\? \(splits: test, train\)"):
        load_questions(f"beir:{beir}:tset")
    with pytest.raises(InputError, match="no such folder"):
        load_questions(f"beir:{tmp_path}/nowhere")
    (beir / "queries.jsonl").unlink()
    with pytest.raises(InputError, match=r"there is no queries\.jsonl"):
        load_questions(f"beir:{beir}")


def test_unknown_forms(tmp_path):
    with pytest.raises(InputError, match="unknown form 'bier' in 'bier:x', did you mean 'beir'"):
        load_questions("bier:x")


ROWS = {
    "hotpotqa/hotpot_qa": (
        {
            "id": "5a",
            "question": "Same nationality?",
            "answer": "yes",
            "type": "comparison",
            "level": "hard",
            "supporting_facts": {"title": ["Scott", "Ed", "Ed"], "sent_id": [0, 0, 1]},
            "context": {"title": ["Scott"], "sentences": [["He is."]]},
        },
        ("5a", ("yes",), ("Scott", "Ed"), "comparison", True),
    ),
    "2WikiMultihopQA (original files)": (
        {
            "_id": "13f5",
            "question": "Who is the mother?",
            "answer": "Marie",
            "type": "compositional",
            "supporting_facts": [["Film", 0], ["Director", 2]],
            "context": [["Film", ["A film."]]],
        },
        ("13f5", ("Marie",), ("Film", "Director"), "compositional", True),
    ),
    "MuSiQue": (
        {
            "id": "2hop__1_2",
            "question": "When?",
            "answer": "1990",
            "answer_aliases": ["in 1990", "1990"],
            "answerable": True,
            "paragraphs": [
                {"idx": 0, "title": "A", "paragraph_text": "...", "is_supporting": True},
                {"idx": 1, "title": "B", "paragraph_text": "...", "is_supporting": False},
            ],
        },
        ("2hop__1_2", ("1990", "in 1990"), ("A",), "2hop", True),
    ),
    "nq_open": ({"question": "who won", "answer": ["A", "B"]}, ("q1", ("A", "B"), (), "", True)),
    "trivia_qa": (
        {
            "question": "Who?",
            "question_id": "tc_1",
            "answer": {"value": "Bob", "aliases": ["Bobby", "Bob"], "normalized_value": "bob"},
        },
        ("tc_1", ("Bob", "Bobby"), (), "", True),
    ),
    "PopQA": (
        {"id": 42, "question": "Job?", "prop": "occupation", "possible_answers": '["poet", "bard"]', "s_pop": 3},
        ("42", ("poet", "bard"), (), "occupation", True),
    ),
    "squad": (
        {"id": "56", "title": "Oxygen", "question": "What?", "answers": {"text": ["O2", "O2"], "answer_start": [1, 1]}},
        ("56", ("O2",), ("Oxygen",), "", True),
    ),
    "squad_v2, unanswerable": (
        {"id": "57", "title": "Oxygen", "question": "What?", "answers": {"text": [], "answer_start": []}},
        ("57", (), (), "", False),
    ),
    "Bamboogle": ({"Question": "Who?", "Answer": "Bob"}, ("q1", ("Bob",), (), "", True)),
    "FlashRAG": (
        {"id": "t_0", "question": "Who?", "golden_answers": ["Bob"], "metadata": {}},
        ("t_0", ("Bob",), (), "", True),
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows_of_hub_sets(name):
    row, wanted = ROWS[name]
    found = hub_question(row, 1)
    assert (found.id, found.answers, found.supporting_ids, found.type, found.answerable) == wanted
    assert found.question == row.get("question", row.get("Question"))


@pytest.mark.parametrize("row", [{"query": "Who?"}, {"question": "Who?", "label": 1}])
def test_rows_of_no_known_form(row):
    with pytest.raises(ValueError, match="columns: "):
        hub_question(row, 1)


def test_supporting_sentences_are_kept():
    row, _ = ROWS["hotpotqa/hotpot_qa"]
    sentences = hub_question(row, 1).extra["supporting_sentences"]
    assert sentences == [{"id": "Scott", "sent": 0}, {"id": "Ed", "sent": 0}, {"id": "Ed", "sent": 1}]


def test_a_local_folder_of_a_hub_set(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "nq_open"
    write(folder / "validation.jsonl", {"question": "who won", "answer": ["A"]}, {"question": "when", "answer": ["B"]})
    write(folder / "train.jsonl", {"question": "where", "answer": ["C"]})
    assert load_questions(f"hf:{folder}") == [Question("q1", "who won", ("A",)), Question("q2", "when", ("B",))]
    assert [q.question for q in load_questions(f"hf:{folder}", 1)] == ["who won"]
    assert [q.question for q in load_questions(f"hf:{folder}:train")] == ["where"]
    with pytest.raises(InputError, match="cannot be loaded"):
        load_questions(f"hf:{folder}:test")


def test_how_hub_sets_are_written():
    with pytest.raises(InputError, match="write it as hf:name"):
        load_questions("hf:a:b:c:d")
