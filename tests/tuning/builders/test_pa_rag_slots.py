"""Which short answers an answer holds."""

import pytest

from ragkit.errors import InputError
from ragkit.evaluation.questions import Question
from ragkit.tuning.builders.pa_rag.slots import cover, is_complete, slots_of

SLOTS = (("Paris", "City of Light"), ("1975",))


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("The city of light, in 1975.", True),
        ("Paris, 1975", True),
        ("Paris", False),
        ("Parisian 1975", False),
        ("Paris 19755", False),
        ("", False),
    ],
)
def test_an_answer_is_complete_when_every_slot_is_filled_by_some_alias(text, complete):
    assert is_complete(text, SLOTS) is complete


def test_short_answers_are_whole_words_and_never_empty():
    assert not is_complete("1975", (("7",),))
    assert not is_complete("anything", (("The", "..."),))


def test_gold_answers_are_aliases_of_one_slot_unless_the_row_says_otherwise():
    question = Question("q", "?", ("a", "b"), extra={"slots": [["a"], ["b", "c"]], "bad": ["a"]})
    assert slots_of(question, None) == (("a", "b"),)
    assert slots_of(question, "slots") == (("a",), ("b", "c"))
    for field in ("bad", "missing"):
        with pytest.raises(InputError, match=f"question 'q': '{field}' is not a list"):
            slots_of(question, field)


def test_the_cover_is_greedy_by_rank_and_fills_every_slot_or_is_empty():
    assert cover(["no", "Paris", "city of light", "in 1975"], SLOTS) == [1, 3]
    assert cover(["no", "Paris"], SLOTS) == []
