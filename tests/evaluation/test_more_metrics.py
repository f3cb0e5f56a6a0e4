"""The metrics beside EM, F1 and ranking."""

import math

import numpy as np
import pytest
from evaluation_builders import FAILURE, passage, prediction, question
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score

from ragkit.errors import InputError
from ragkit.evaluation.metrics import parse_metric
from ragkit.evaluation.metrics.abstention import AbstentionF1, ConfidencePrecision, RiskCoverageArea
from ragkit.evaluation.metrics.lists import items
from ragkit.evaluation.metrics.text import common_subsequence
from ragkit.evaluation.summary import summarise


def score(metric, answer, *golds, **fields):
    (value,) = parse_metric(metric).compute([question(answers=golds)], [prediction(answer=answer, **fields)])
    return value


# As rouge-score 0.1.2 gives them: RougeScorer(["rougeL"]).score(gold, answer)["rougeL"].fmeasure
ROUGE = [
    ("the quick brown fox", "the fox is quick and brown", 0.6),
    ("police killed the gunman", "police kill the gunman", 0.75),
    ("the gunman kill police", "police killed the gunman", 0.5),
    ("", "x", 0),
    ("A well-known U.S. author, 1,200 books", "a well known author of 1200 books", 0.625),
    ("the cat the cat the cat", "the cat", 0.5),
    ("Größe 3.5 kg", "grosse 3.5 kg", 2 / 3),
]


@pytest.mark.parametrize(("answer", "gold", "expected"), ROUGE)
def test_rouge_l_is_that_of_rouge_score(answer, gold, expected):
    assert score("rouge_l", answer, gold) == pytest.approx(expected)


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_longest_common_subsequence_by_the_plain_table(a, b):
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    assert common_subsequence(a, b) == table[-1][-1]


@pytest.mark.parametrize(
    ("answer", "gold", "expected"),
    [
        ("1,200", "1200", 1),
        ("1.2 thousand", "1,200", 1),
        ("about 1.2k people", "1200", 1),
        ("12 %", "0.12", 1),
        ("12 percent", "12 per cent", 1),
        ("12", "12 %", 1),  # the unit is left out
        ("0.12 %", "12 %", 0),
        ("$5 million", "5,000,000 dollars", 1),
        ("$1.8 bn", "1.8 billion", 1),
        ("€5", "$5", 0),
        ("57.2 °F", "14 °C", 1),
        ("2.5 t/ha", "2500 kg ha-1", 1),
        ("24 months", "2 years", 1),
        ("500 g", "0.5 kg", 1),
        ("5 kg", "5 m", 0),
        ("12 to 14 %", "12–14 %", 1),
        ("12 to 14 %", "12 %", 0),  # a number too many
        ("it was 14 % in 2019", "14 %", 0),
        ("−25 to −30 °C", "-25 to -30 °C", 1),
        ("3", "-3", 0),
        ("P-15", "15", 1),
        ("5 apples", "5", 1),
        ("1889 in Paris", "1889", 1),  # 'in' is no inch
        ("1e3", "1000", 1),
        ("0", "0", 1),
        ("none", "0", 0),
        ("5 xyzzy/foo", "5", 1),
    ],
)
def test_numeric(answer, gold, expected):
    assert score("numeric", answer, gold) == expected


def test_numeric_tolerance_is_relative():
    assert score("numeric", "104", "100") == 0
    assert score("numeric(tolerance=0.05)", "104", "100") == 1
    assert score("numeric(tolerance=0.05)", "106", "100") == 0
    assert score("numeric(tolerance=0.05)", "0.001", "0") == 0
    assert score("numeric", "no number", "Paris") is None
    assert score("numeric", "14", "Paris", "14") == 1  # of the gold answers with a number


@given(st.text(max_size=40))
def test_any_text_can_be_searched_for_quantities(text):
    assert score("numeric", text, "1 kg") in {0, 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("['$35,000', '$40,684']", ["35000", "40684"]),
        ("- red\n- The blue\n3. green", ["red", "blue", "green"]),
        ("wheat, maize and rye; oats", ["wheat", "maize", "rye", "oats"]),
        ("1,200, 13,14", ["1200", "13", "14"]),
        ("sand & Andes", ["sand", "andes"]),
        ("", []),
    ],
)
def test_items_of_a_list(text, expected):
    assert items(text) == expected


def test_list_f1_does_not_mind_the_order():
    assert score("list_f1", "b, a", "['a', 'b']") == 1
    assert score("list_f1", "a, c", "a, b") == 0.5
    assert score("list_f1", "a, a", "a") == pytest.approx(2 / 3)
    assert score("list_f1", "", "a, b") == 0


def test_yes_no_takes_the_first_verdict_of_closed_questions():
    assert score("yes_no", "Yes, it does. No doubt.", "yes") == 1
    assert score("yes_no", "no", "yes") == 0
    assert score("yes_no", "not known", "no") == 0
    assert score("yes_no", "yes", "Paris") is None


@pytest.mark.parametrize("name", ["yes_no", "numeric"])
def test_a_failure_counts_only_where_the_metric_applies(name):
    assert score(name, None, "Paris", error=FAILURE) is None
    assert score(name, None, "yes" if name == "yes_no" else "12", error=FAILURE) == 0


QUESTIONS = [question(str(n), ("x",), answerable=n % 3 > 0) for n in range(30)]
PREDICTIONS = [
    prediction(str(n), None if n % 4 == 0 else "x" if n % 2 else "y", confidence=None if n == 7 else (n % 5) / 5)
    for n in range(30)
]


def test_abstention_f1_is_that_of_scikit_learn():
    metric = AbstentionF1()
    observed = np.array(metric.observe(QUESTIONS, PREDICTIONS))
    assert metric.statistic(observed) == pytest.approx(f1_score(observed[:, 0], observed[:, 1]))
    assert metric.statistic(np.array([[0.0, 1.0]])) is None  # nothing is unanswerable


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.sampled_from([0.0, 0.4, 1.0])), min_size=1))
def test_average_precision_is_that_of_scikit_learn(pairs):
    observed = np.array(pairs)
    right = observed[:, 1] >= 0.5
    value = ConfidencePrecision().statistic(observed)
    assert value == (pytest.approx(average_precision_score(right, observed[:, 0])) if right.any() else None)


def test_risk_coverage():
    observed = np.array([[0.9, 1], [0.8, 0], [0.7, 1], [0.1, 0]])
    metric = RiskCoverageArea()
    risks = [0, 1 / 2, 1 / 3, 1 / 2]
    assert metric.statistic(observed) == pytest.approx(np.mean(risks))
    curve = metric.curve(observed)
    assert curve == {"coverage": [0.25, 0.5, 0.75, 1], "risk": pytest.approx(risks)}
    # ties: their order must not matter
    tied = np.array([[0.5, 1], [0.5, 0]])
    assert metric.statistic(tied) == metric.statistic(tied[::-1]) == 0.5
    many = np.column_stack([np.linspace(0, 1, 10_000), np.ones(10_000)])
    assert len(metric.curve(many)["risk"]) == 200
    assert metric.curve(many)["coverage"][-1] == 1


def test_figures_of_all_questions_have_intervals_counts_and_curves():
    metrics = [parse_metric(name) for name in ("em", "abstention", "abstention_f1", "confidence_ap", "aurc(of=f1)")]
    summary = summarise(QUESTIONS, PREDICTIONS, metrics)
    found = summary.overall.metrics
    assert found["abstention"].n == 10
    assert found["abstention"].excluded == 20
    answered = sum(p["answer"] is not None and p["confidence"] is not None for p in PREDICTIONS)
    assert found["confidence_ap"].n == answered
    assert found["confidence_ap"].excluded == 30 - answered
    assert found["aurc(of=f1)"].low < found["aurc(of=f1)"].value < found["aurc(of=f1)"].high
    assert found["abstention_f1"].low < found["abstention_f1"].value < found["abstention_f1"].high
    assert summary.quality == ("em", "abstention")
    assert list(summary.curves) == ["aurc(of=f1)"]
    assert "aurc(of=f1)" not in summary.scores
    assert summary == summarise(QUESTIONS, PREDICTIONS, metrics)


def test_a_failure_is_a_wrong_answer_of_the_least_confidence():
    asked = [question(str(n), ("x",)) for n in range(4)]
    rows = [prediction("0", "x", confidence=-2.0), prediction("1", "x", confidence=-1.0)]
    rows += [prediction("2", None, error=FAILURE), prediction("3", None)]
    found = summarise(asked, rows, [parse_metric("aurc"), parse_metric("confidence_ap")]).overall.metrics
    assert found["aurc"].value == pytest.approx((0 + 0 + 1 / 3) / 3)
    assert (found["aurc"].n, found["aurc"].excluded) == (3, 1)  # an abstention is no answer
    assert found["confidence_ap"].value == 1
    # where no answer has a confidence, nothing is ranked
    without = summarise(asked[2:], rows[2:], [parse_metric("aurc")]).overall.metrics["aurc"]
    assert (without.value, without.n) == (None, 0)


def test_confidence_that_is_no_number_has_no_way_into_a_figure():
    answers = [prediction("1", "x", confidence=math.nan)]
    with pytest.raises(ValueError, match="not a finite number"):
        summarise([question("1", ("x",))], answers, [parse_metric("aurc")])


def citing(*citations, **fields):
    documents = (passage("soil.pdf#p3.c0", "soil.pdf", 3), passage("pest.pdf#p1.c0", "pest.pdf", 1))
    return prediction("1", "x", documents, citations=list(citations), **fields)


SOIL = {"passage": "soil.pdf#p3.c0", "source": "soil.pdf", "page": 3, "box": [1, 2, 3, 4]}
PEST = {"passage": "pest.pdf#p1.c0", "source": "pest.pdf", "page": 1, "box": None}


@pytest.mark.parametrize(
    ("gold", "citations", "precision", "recall", "page", "box"),
    [
        (("soil.pdf#p3",), (SOIL,), 1, 1, 1, 1),
        (("soil.pdf#p3",), (SOIL, PEST), 0.5, 1, 0.5, 0.5),
        (("soil.pdf#p3", "pest.pdf#p1"), (PEST,), 1, 0.5, 1, 0),  # right page, no box
        (("soil.pdf#p3.c0",), (SOIL,), 1, 1, 1, 1),
        (("soil.pdf#p3",), (), 0, 0, 0, 0),
        (("soil.pdf",), (SOIL,), 1, 1, None, None),  # no gold page
    ],
)
def test_citations_against_gold_evidence(gold, citations, precision, recall, page, box):
    names = ("support_precision", "support_recall", "cited_page", "cited_box")
    values = [parse_metric(name).compute([question(gold=gold)], [citing(*citations)])[0] for name in names]
    assert values == [precision, recall, page, box]


@pytest.mark.parametrize("name", ["support_f1", "support_em", "joint_f1", "joint_em", "cited_page", "cited_box"])
def test_failed_questions_support_nothing(name):
    asked = question(answers=("x",), gold=("soil.pdf#p3",))
    assert parse_metric(name).compute([asked], [citing(SOIL, error=FAILURE)]) == [0]
    assert parse_metric(name).compute([question(answers=("x",))], [citing(SOIL)]) == [None]


@pytest.mark.parametrize("name", ["joint_f1", "joint_em"])
def test_joint_metrics_judge_the_answer_as_the_answer_metrics_do(name):
    metric, gold = parse_metric(name), ("soil.pdf#p3",)
    assert metric.compute([question(gold=gold)], [citing(SOIL, error=FAILURE)]) == [None]  # no gold answer
    unanswerable = question(answers=("a remark",), gold=gold, answerable=False)
    assert metric.compute([unanswerable], [citing(SOIL)]) == [0]
    assert metric.compute([unanswerable], [citing(SOIL) | {"answer": "a remark"}]) == [0]
    assert metric.compute([unanswerable], [citing(SOIL) | {"answer": None}]) == [1]


def test_costs():
    usage = {"searches": 1, "retriever_calls": 2, "model_calls": 1, "prompt_tokens": 5, "completion_tokens": 7}
    rows = [prediction("1", "x", usage=usage | {"cost": 0.25}), prediction("2", "x", usage=usage)]
    asked = [question("1"), question("2")]
    assert parse_metric("cost").compute(asked, rows) == [0.25, 0]
    assert parse_metric("cost").compute(asked[1:], rows[1:]) == [None]
    names = ("retriever_calls", "prompt_tokens", "completion_tokens")
    assert [parse_metric(name).compute(asked[:1], rows[:1]) for name in names] == [[2], [5], [7]]


@pytest.mark.parametrize(
    "text", ["numeric(tolerance=0.05)", "aurc(of=f1)", "confidence_ap", "pages.recall@5", "AP", "pages.P(rel=2)@5"]
)
def test_settings_are_written_and_read_without_loss(text):
    assert str(parse_metric(text)) == text
    assert parse_metric(str(parse_metric(text))) == parse_metric(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("numeric(tol=1)", "'tol=1' is no setting"),
        ("numeric(tolerence=1)", "did you mean 'tolerance'? (its settings are: tolerance)"),
        ("numeric(tolerance=nan)", "tolerance is a number from 0, not 'nan'"),
        ("numeric(tolerance=-1)", "tolerance is a number from 0, not '-1'"),
        ("aurc(of=tokens)", "of is one of em, f1,"),
        ("em(x=1)", "it takes no settings, write 'em'"),
        ("em()", "it takes no settings"),
        ("recall(pages=1)@5", "it takes no settings"),
        ("pages.em", "em does not rank"),
        ("nDCG@x", "ir-measures cannot read it"),
        ("nDCG(a)@5", "ir-measures cannot read it"),
        ("alpha_nDCG@10", "ir-measures cannot compute it here"),
        ("NumQ", "ir-measures cannot compute it here"),
        ("ndgc@10", "did you mean 'ndcg'?"),
    ],
)
def test_wrong_settings(text, message):
    with pytest.raises(InputError) as caught:
        parse_metric(text)
    assert message in str(caught.value)
