import math

import pytest
from evaluation_builders import FAILURE, passage, prediction, question

from ragkit.evaluation.metrics import parse_metric
from ragkit.evaluation.metrics.ranking import matched, ranked_units

CHUNKS = (
    passage("soil.pdf#p3.c0", "soil.pdf", 3),
    passage("soil.pdf#p3.c1", "soil.pdf", 3),
    passage("pest.pdf#p1.c0", "pest.pdf", 1),
    passage("soil.pdf#p7.c0", "soil.pdf", 7),
)


@pytest.mark.parametrize(
    ("gold", "expected"),
    [
        (["soil.pdf#p7.c0"], ["soil.pdf#p3.c0", "soil.pdf#p3.c1", "pest.pdf#p1.c0", "soil.pdf#p7.c0"]),
        (["soil.pdf#p7"], ["soil.pdf#p3", "pest.pdf#p1", "soil.pdf#p7"]),
        (["pest.pdf"], ["soil.pdf", "pest.pdf"]),
        # two levels: each gold unit where it first occurs, the rest at the finer level
        (["pest.pdf", "soil.pdf#p7"], ["soil.pdf#p3", "pest.pdf", "soil.pdf#p7"]),
        (["soil.pdf", "soil.pdf#p3"], ["soil.pdf#p3", "soil.pdf", "pest.pdf#p1"]),
    ],
)
def test_passages_are_ranked_at_the_level_of_the_gold_ids(gold, expected):
    assert ranked_units(CHUNKS, gold) == expected


def test_rows_of_one_chunk_and_odd_ids_match_by_their_own_name():
    row = passage("hp-000004", "hp-000004")
    assert ranked_units([row, passage("hp-1.c0", "hp-1")], ["hp-000004"]) == ["hp-000004", "hp-1"]
    looks_like_a_chunk = passage("v1.c2", "v1.c2")
    assert matched(looks_like_a_chunk, ["v1.c2"]) == ["v1.c2"]
    assert matched(passage("x", None), ["x"]) == ["x"]
    assert matched(passage("soil.pdf#p3.c0", "soil.pdf", 3), ["soil.pdf#p33", "soil", "oil.pdf"]) == []


def compute(metric, gold, documents=CHUNKS, **fields):
    return parse_metric(metric).compute([question(gold=gold)], [prediction(documents=documents, **fields)])[0]


def test_recall_counts_distinct_pages():
    gold = ("pest.pdf#p1", "soil.pdf#p7")
    assert compute("recall@1", gold) == 0
    assert compute("recall@2", gold) == 0.5  # the second distinct page is the third passage
    assert compute("recall@3", gold) == 1
    assert compute("recall@10", (*gold, "gone.pdf#p1", "gone.pdf#p2")) == 0.5


def test_repeated_gold_ids_count_once():
    assert compute("recall@5", ("soil.pdf#p3", "soil.pdf#p3")) == 1


def test_mrr_and_ndcg_by_hand():
    gold = ("pest.pdf#p1", "soil.pdf#p7")  # ranks 2 and 3 of the pages
    assert compute("mrr@10", gold) == 0.5
    assert compute("mrr@1", gold) == 0
    ideal = 1 + 1 / math.log2(3)
    assert compute("ndcg@10", gold) == pytest.approx((1 / math.log2(3) + 1 / math.log2(4)) / ideal)


@pytest.mark.parametrize("metric", ["recall@5", "mrr@10", "ndcg@10"])
def test_not_applicable_failed_and_empty(metric):
    assert compute(metric, ()) is None
    assert compute(metric, ("soil.pdf#p3",), error=FAILURE) == 0
    assert compute(metric, ("soil.pdf#p3",), documents=()) == 0
    assert compute(metric, ("soil.pdf#p3",), answer=None) == 1  # a pipeline without a reader is not wrong at ranking


def test_values_stay_with_their_questions():
    questions = [question(str(n), gold=("soil.pdf#p3",) if n % 3 else ()) for n in range(30)]
    predictions = [prediction(str(n), documents=CHUNKS if n % 2 else ()) for n in range(30)]
    expected = [None if n % 3 == 0 else float(n % 2) for n in range(30)]
    assert parse_metric("recall@5").compute(questions, predictions) == expected


def test_measures_of_ir_measures_by_their_own_names():
    values = {name: compute(name, ["soil.pdf#p7", "pest.pdf#p1"]) for name in ("AP", "P@2", "Success@1", "Rprec")}
    # the pages are soil 3, pest 1, soil 7: relevant at ranks 2 and 3
    assert values == pytest.approx({"AP": (1 / 2 + 2 / 3) / 2, "P@2": 0.5, "Success@1": 0, "Rprec": 0.5})
    assert compute("Judged@10", ["soil.pdf#p7"], ()) is None
    assert compute("AP", ["soil.pdf#p7"], ()) == 0
    assert compute("AP", ["soil.pdf#p7"], error=FAILURE) == 0
    assert compute("AP", []) is None


def test_grades_are_honoured():
    asked = question(gold=("a", "b"), relevance={"a": 1, "b": 3, "c": 0, "d": -1})
    answered = prediction("1", "x", tuple(passage(name) for name in "cab"))
    (value,) = parse_metric("nDCG@3").compute([asked], [answered])
    assert value == pytest.approx((1 / math.log2(3) + 3 / math.log2(4)) / (3 + 1 / math.log2(3)))
    assert parse_metric("P(rel=2)@3").compute([asked], [answered]) == [pytest.approx(1 / 3)]
    assert parse_metric("ndcg@3").compute([asked], [answered]) == [value]
    assert parse_metric("Judged@3").compute([asked], [answered]) == [1]
    assert parse_metric("AP").compute([question(relevance={"a": 0})], [answered]) == [None]


def test_pages_whatever_the_gold_ids_are():
    # of the first page two passages are gold, with different grades: a page takes the higher one
    graded = question(relevance={"soil.pdf#p3.c1": 2, "soil.pdf#p3.c9": 1, "soil.pdf#p7.c0": 1})
    answered = prediction("1", "x", CHUNKS)
    assert parse_metric("recall@2").compute([graded], [answered]) == [pytest.approx(1 / 3)]
    assert parse_metric("pages.recall@2").compute([graded], [answered]) == [0.5]
    assert parse_metric("pages.recall@3").compute([graded], [answered]) == [1]
    assert parse_metric("pages.P(rel=2)@1").compute([graded], [answered]) == [1]
