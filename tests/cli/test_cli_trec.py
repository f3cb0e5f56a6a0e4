"""`ragkit trec`."""

import ir_measures
import pytest


def test_trec_eval_finds_what_the_run_says(farm, ragkit):
    assert ragkit("run", "farm.yaml", "--out", "out", "--set", "retrieve.hybrid.k=1").code == 0
    result = ragkit("trec", "out", "--out", "files")
    assert result.code == 0
    assert result.out == "written: files/rankings.trec, files/qrels.trec\n"
    qrels = list(ir_measures.read_trec_qrels(str(farm / "files" / "qrels.trec")))
    run = list(ir_measures.read_trec_run(str(farm / "files" / "rankings.trec")))
    assert {(judged.query_id, judged.doc_id) for judged in qrels} == {("w", "wheat.txt"), ("m", "maize.txt")}
    measure = ir_measures.parse_measure("R@2")
    assert ir_measures.calc_aggregate([measure], qrels, run)[measure] == pytest.approx(1.0)
    assert "n Q0 " in (farm / "files" / "rankings.trec").read_text()  # not judged, but ranked


def test_what_is_no_run(farm, ragkit):
    result = ragkit("trec", "docs")
    assert result.code == 2
    assert "docs: holds no run" in result.err
