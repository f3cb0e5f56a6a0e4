"""What the evidence model looks at."""

import math

import numpy as np
import pytest

from ragkit.models.base import Premise
from ragkit.models.evidence_features import (
    ALONE,
    FEATURES,
    FOLLOWED,
    Candidates,
    WordWeights,
    names_title,
    whole,
    words,
)

QUESTION = "Where was the director of Salt Road born?"
PREMISES = (
    Premise("Salt Road (film)", "Salt Road is a film. It was directed by Ines Vell."),
    Premise("Ines Vell", "Vell was born in Osier."),
    Premise("", "Potatoes are grown."),
)
SENTENCES = (
    ("Salt Road is a film.", "It was directed by Ines Vell."),
    ("Vell was born in Osier.",),
    (PREMISES[2].text,),
)


def vector(text):
    """Return counts of words at places of their own, length 1."""
    found = np.zeros(997, np.float32)
    for word in words(text):
        found[sum(map(ord, word)) % 997] += 1
    return found / (np.linalg.norm(found) or 1)


def features(premises=PREMISES, sentences=SENTENCES, weights=None):
    found = Candidates(QUESTION, premises, sentences).features(vector, weights or WordWeights())
    return [dict(zip(FEATURES, row, strict=True)) for row in found.tolist()]


def test_features_of_single_passages():
    film, person, potatoes = features()
    asked = 4  # director, salt, road, born
    assert film["weight of the question's words in the passage"] == pytest.approx(2 / asked)
    assert film["weight of the title's words in the question"] == 1.0
    assert film["the whole title is in the question"] == 1.0
    assert film["weight of the question's words in the title"] == pytest.approx(2 / asked)
    assert person["the whole title is in the question"] == 0.0
    assert potatoes["similarity of the title"] == 0.0
    assert film["similarity of the best sentence"] > film["similarity of the second best sentence"]
    assert potatoes["similarity of the best sentence"] == potatoes["similarity of the second best sentence"]


def test_a_passage_of_the_second_hop_is_known_by_the_first():
    film, person, potatoes = features()
    assert film["rank by relevance"] == 0.0 and film["relevance below the best"] == 0.0
    assert person["relevance of the best passage that names the title"] == film["relevance"]
    assert film["relevance of the best passage whose title is named"] == person["relevance"]
    assert person["passages that name the title"] == pytest.approx(math.log(2))
    assert potatoes["relevance of the best passage that names the title"] == 0.0
    assert person["weight of the question's words that only this passage has, not the best other"] == pytest.approx(
        1 / 4
    )
    assert person["weight of further words shared with the best other passage"] == 2.0  # ines, vell
    follow_up = "similarity to the question with the likeliest passage 1"
    assert person[follow_up] > potatoes[follow_up]


def test_the_order_of_passages_does_not_matter():
    order = [2, 0, 1]
    turned = features(tuple(PREMISES[n] for n in order), tuple(SENTENCES[n] for n in order))
    for number, row in zip(order, turned, strict=True):
        assert row == pytest.approx(features()[number], abs=1e-6)


@pytest.mark.parametrize("number", [1, 2])
def test_few_passages(number):
    (first, *_) = features(PREMISES[:number], SENTENCES[:number])
    assert all(map(math.isfinite, first.values())) and len(first) == len(FEATURES)
    assert sum(name in FEATURES for name in ALONE) == len(ALONE) and FOLLOWED == 3


def test_words_that_few_passages_hold_weigh_more():
    weights = WordWeights.of(map(whole, PREMISES))
    assert weights.passages == 3 and weights.counts == {"ines": 2, "vell": 2}
    assert weights.weight("potatoes") > weights.weight("vell") > 0
    assert WordWeights().weight("vell") == 1.0


@pytest.mark.parametrize(
    ("text", "title", "expected"),
    [
        ("directed by ines vell.", "Ines Vell", True),
        ("Ines Vellmar", "Ines Vell", False),
        ("the film Salt Road", "Salt Road (film)", True),
        ("I am an x", "X", False),
        ("anything", "", False),
        ("costs 3.5 (net)", "3.5", True),
    ],
)
def test_titles_are_named_as_whole_words(text, title, expected):
    assert names_title(text, Premise(title, "")) is expected
