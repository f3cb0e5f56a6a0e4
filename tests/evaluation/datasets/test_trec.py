"""TREC's formats, checked with trec_eval itself."""

import ir_measures
import pytest
from evaluation_builders import FAILURE, passage, prediction, question

from ragkit.errors import InputError
from ragkit.evaluation.datasets import read_qrels, read_run_file, write_qrels, write_run_file
from ragkit.evaluation.metrics import parse_metric


def test_both_forms_of_qrels(tmp_path):
    trec = tmp_path / "qrels.txt"
    trec.write_text("1 0 d1 2\n1 0 d2 0\n2 Q0 d1 -1\n")
    assert read_qrels(trec) == {"1": {"d1": 2, "d2": 0}, "2": {"d1": -1}}
    beir = tmp_path / "test.tsv"
    beir.write_text("query-id\tcorpus-id\tscore\n1\ta b\t1\n")
    assert read_qrels(beir) == {"1": {"a b": 1}}


@pytest.mark.parametrize("line", ["1 0 d1", "1 0 d1 much", "1 0 d1 1 2", "1\td1\tmuch", "1 0 d1 inf", "1 0 d1 0.5"])
def test_bad_qrels(tmp_path, line):
    path = tmp_path / "qrels.txt"
    path.write_text(f"1 0 d1 1\n{line}\n")
    with pytest.raises(InputError, match=rf"{path}:2: must be"):
        read_qrels(path)


def test_runs_are_ordered_by_score(tmp_path):
    path = tmp_path / "run.txt"
    path.write_text("1 Q0 d2 2 0.5 tag\n1 Q0 d1 1 0.9 tag\n1 Q0 d3 3 0.5 tag\n2 Q0 d1 1 3 tag\n")
    assert read_run_file(path) == {"1": [("d1", 0.9), ("d2", 0.5), ("d3", 0.5)], "2": [("d1", 3.0)]}
    path.write_text("1 Q0 d2 inf 0.5 tag\n")
    with pytest.raises(InputError, match=r"run\.txt:1: must be 'query Q0"):
        read_run_file(path)
    path.write_text("1 Q0 d2 2 0.5\n")
    with pytest.raises(InputError, match=r"run\.txt:1: must be 'query Q0"):
        read_run_file(path)


def test_what_is_written_scores_in_trec_eval_as_in_ragkit(tmp_path):
    questions = [
        question("1", gold=("a.pdf#p1", "a.pdf#p3")),
        question("2", gold=("d2", "d5"), relevance={"d2": 2, "d5": 1, "d1": 0}),
        question("3", gold=("d1",)),
        question("4"),
    ]
    pages = tuple(passage(f"a.pdf#p{n}.c{c}", "a.pdf", n) for n, c in ((2, 0), (2, 1), (3, 0), (1, 0)))
    predictions = [
        prediction("1", documents=pages),
        prediction("2", documents=(passage("d1"), passage("d5"), passage("d2"))),
        prediction("3", documents=(passage("d1"),), error=FAILURE),
        prediction("4", documents=(passage("d1"),)),
    ]
    write_qrels(tmp_path / "qrels", questions)
    write_run_file(tmp_path / "run", questions, predictions)
    qrels = list(ir_measures.read_trec_qrels(str(tmp_path / "qrels")))
    run = list(ir_measures.read_trec_run(str(tmp_path / "run")))
    for name, measure in (("recall@2", "R@2"), ("mrr@10", "RR@10")):
        theirs = {m.query_id: m.value for m in ir_measures.iter_calc([ir_measures.parse_measure(measure)], qrels, run)}
        ours = parse_metric(name).compute(questions, predictions)
        assert ours[:3] == [pytest.approx(theirs.get(q.id, 0.0)) for q in questions[:3]]
        assert ours[3] is None
    assert read_qrels(tmp_path / "qrels")["2"] == {"d2": 2, "d5": 1, "d1": 0}
    assert [name for name, _ in read_run_file(tmp_path / "run")["1"]] == ["a.pdf#p2", "a.pdf#p3", "a.pdf#p1"]


def test_white_space_has_no_place_in_trec_files(tmp_path):
    with pytest.raises(InputError, match="white space"):
        write_qrels(tmp_path / "qrels", [question("1", gold=("my file.pdf",))])
    assert not (tmp_path / "qrels").exists()
