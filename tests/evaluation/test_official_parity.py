"""EM, F1, supporting facts and joint metrics against the published scripts: fixed cases, and hundreds of made ones."""

import official_scripts as official
import pytest
from evaluation_builders import passage, prediction, question
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.evaluation.metrics import parse_metric

WORDS = [
    "the",
    "a",
    "an",
    "yes",
    "no",
    "noanswer",
    "Paris",
    "paris,",
    "U.S.",
    "1,200",
    "$5",
    "new",
    "York",
    ".",
    "é",
    "“x”",
]
texts = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join) | st.text(max_size=12)
facts = st.lists(st.sampled_from("abcdef"), unique=True, max_size=5)


def values(names, asked, answered):
    return [parse_metric(name).compute([asked], [answered])[0] for name in names]


@settings(deadline=None, max_examples=400)
@given(texts, st.lists(texts, min_size=1, max_size=3))
def test_em_and_f1_are_squads(answer, golds):
    found = values(["em", "f1"], question(answers=tuple(golds)), prediction(answer=answer))
    assert found == pytest.approx(official.squad_raw_scores(golds, answer))


@settings(deadline=None, max_examples=200)
@given(texts)
def test_em_and_f1_of_unanswerable_questions_are_squad_2s(answer):
    found = values(["em", "f1"], question(answerable=False), prediction(answer=answer))
    assert found == pytest.approx(official.squad_raw_scores([], answer))


@settings(deadline=None, max_examples=400)
@given(texts, texts)
def test_hotpot_f1_is_hotpotqas(answer, gold):
    found = values(["hotpot_f1"], question(answers=(gold,)), prediction(answer=answer))
    assert found == pytest.approx([official.hotpot_f1_score(answer, gold)[0]])


@settings(deadline=None, max_examples=400)
@given(texts, texts, facts, facts.filter(bool))
def test_supporting_facts_and_joint_metrics_are_hotpotqas(answer, gold_answer, cited, gold):
    asked = question(answers=(gold_answer,), gold=tuple(gold))
    citations = [{"passage": name, "source": name, "page": None} for name in cited]
    answered = prediction(answer=answer, documents=tuple(passage(name) for name in "abc"), citations=citations)
    em, f1, precision, recall = official.hotpot_update_sp([(c,) for c in cited], [(g,) for g in gold])
    names = ["support_em", "support_f1", "support_precision", "support_recall", "joint_em", "joint_f1"]
    joint = official.hotpot_joint(answer, gold_answer, [(c,) for c in cited], [(g,) for g in gold])
    assert values(names, asked, answered) == pytest.approx([em, f1, precision, recall, *joint])


# What the scripts print for these, run once by hand: answer, gold, SQuAD em and f1, HotpotQA f1.
FIXED = [
    ("The Eiffel Tower!", "eiffel tower", 1, 1.0, 1.0),
    ("Barack Hussein Obama", "Barack Obama", 0, 0.8, 0.8),
    ("yes", "yes, it is", 0, 0.5, 0.0),
    ("yes", "Yes.", 1, 1.0, 1.0),
    ("noanswer", "no answer", 0, 0.0, 0.0),
    ("the", "a", 1, 1.0, 0.0),
    ("in the U.S. of A", "US", 0, 0.5, 0.5),  # 'A' is an article too
    ("1,200 km", "1200 km", 1, 1.0, 1.0),
    ("", "Paris", 0, 0.0, 0.0),
]


@pytest.mark.parametrize(("answer", "gold", "em", "f1", "hotpot"), FIXED)
def test_fixed_cases(answer, gold, em, f1, hotpot):
    assert official.squad_raw_scores([gold], answer) == pytest.approx((em, f1))
    assert official.hotpot_f1_score(answer, gold)[0] == pytest.approx(hotpot)
    found = values(["em", "f1", "hotpot_f1"], question(answers=(gold,)), prediction(answer=answer))
    assert found == pytest.approx([em, f1, hotpot])
