"""Answers with citation markers: taken apart, renumbered, put together again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.evaluation.marked import MarkedText, renumber

PIECES = st.sampled_from(
    ["Paris", " is", " big", ".", " ", "[1]", " [2, 3]", "[0]", "[12]", " [sic]", "\n", "é", "[x1]"]
)


@settings(deadline=None)
@given(st.lists(PIECES).map("".join))
def test_nothing_gets_lost(text):
    marked = MarkedText.parse(text)
    assert str(marked) == text
    assert "[1]" not in marked.plain
    assert text.count("[sic]") == marked.plain.count("[sic]")
    owned = [mark for sentence in marked.sentences() for mark in sentence.marks]
    assert owned == (list(marked.marks) if marked.plain.strip() else [])


def test_a_marker_belongs_to_the_sentence_that_it_stands_in_or_right_behind():
    first, second = MarkedText.parse("Wheat [1][2] is dry. [3] Maize, e.g. in Iowa, is not [4].").sentences()
    assert (first.text, first.numbers) == ("Wheat is dry.", (1, 2, 3))
    assert (second.text, second.numbers) == ("Maize, e.g. in Iowa, is not.", (4,))


def test_a_marker_at_the_very_start_belongs_to_the_first_sentence():
    (only,) = MarkedText.parse("[2] Paris").sentences()
    assert only.numbers == (2,)


def test_a_blank_text_has_no_sentences():
    assert MarkedText.parse(" [1] ").sentences() == []


@pytest.mark.parametrize(
    ("text", "numbers", "cited"),
    [
        ("Paris", (2,), "Paris [2]"),
        ("It is Paris.", (1, 3), "It is Paris [1, 3]."),
        ("It is Paris. [9]", (1,), "It is Paris. [1]"),
        ("It [4] is Paris [5].", (1,), "It is Paris [1]."),
        ("It is Paris [2].", (), "It is Paris."),
        ("...", (1,), "... [1]"),
    ],
)
def test_citing_changes_nothing_but_markers(text, numbers, cited):
    marked = MarkedText.parse(text)
    (sentence,) = marked.sentences()
    assert str(marked.cite(sentence, numbers)) == cited
    assert MarkedText.parse(cited).plain == marked.plain


def test_renumbering_keeps_how_markers_are_written():
    assert renumber("A [1, 2] b [12][1] [sic].", {1: 4, 2: 1, 12: 10}.get) == "A [4, 1] b [10][4] [sic]."


def test_renumbering_fails_where_a_passage_is_not_there():
    assert renumber("A [1][9].", {1: 2}.get) is None


@settings(deadline=None)
@given(st.permutations(range(1, 6)), st.lists(st.integers(1, 5), max_size=4))
def test_renumbering_there_and_back_is_the_identity(order, cited):
    text = "Paris" + "".join(f"[{number}]" for number in cited)
    there = dict(enumerate(order, 1))
    back = {new: old for old, new in there.items()}
    moved = renumber(text, there.get)
    assert moved is not None
    assert renumber(moved, back.get) == text
