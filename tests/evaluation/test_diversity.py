"""How much texts differ."""

from ragkit.evaluation.diversity import commonest_opening, distinct


def test_distinct_n_has_words_for_its_denominator():
    assert distinct(["a b a b"], 1) == 0.5
    assert distinct(["a b a b"], 2) == 0.5  # {ab, ba} of four words
    assert distinct(["a b", "a b"], 2) == 1 / 4
    assert distinct([], 2) == distinct([""], 1) == 0


def test_the_commonest_opening():
    texts = ["This is not true.", "This is not right at all", "No."]
    assert commonest_opening(texts) == ("this is not", 2 / 3)
    assert commonest_opening([]) == ("", 0.0)
