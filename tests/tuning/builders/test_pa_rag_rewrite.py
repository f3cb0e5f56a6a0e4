"""Citation rewrite with a stub that says what supports what."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.evaluation.marked import MarkedText
from ragkit.stages.recite import asked_once
from ragkit.tuning.builders.pa_rag.rewrite import is_supported, rewrite


class Stub:
    """Supports a sentence by any of some sets of passages; the more passages the better."""

    def __init__(self, *needed):
        self.needed = [frozenset(own) for own in needed]
        self.asked = Counter()

    async def __call__(self, numbers, claim):
        self.asked[frozenset(numbers), claim] += 1
        return any(own <= set(numbers) for own in self.needed)


def mended(text, *needed, passages=5):
    return asyncio.run(rewrite(text, passages, Stub(*needed)))


def supported(text, *needed, passages=5):
    return asyncio.run(is_supported(text, passages, Stub(*needed)))


@pytest.mark.parametrize(
    ("text", "needed", "result"),
    [
        ("Paris [2].", [{2}], "Paris [2]."),  # supported
        ("It [1] is Paris [2].", [{1, 2}], "It [1] is Paris [2]."),  # two that are needed together
        ("Paris [1].", [{3}], "Paris [3]."),  # wrong
        ("Paris.", [{3}, {1, 2}], "Paris [3]."),  # none: the smallest set
        ("Paris [5].", [{4}, {2}], "Paris [2]."),  # a tie: the best ranked
        ("Paris [1].", [{2, 4, 5}], "Paris [2, 4, 5]."),
        ("Paris [2][1].", [{2}], "Paris [2]."),  # needless
        ("Paris [3][1].", [{3}, {1}], "Paris [1]."),  # either would do: the last passage goes
        ("Paris [0].", [{5}], "Paris [5]."),  # no such passage, and not the last one
        ("Paris [9].", [{1}], "Paris [1]."),
        ("Paris [1][2][3][4].", [{4}], "Paris [4]."),  # the fourth citation does not count
        ("Paris [1].", [], None),
        ("Paris [1].", [{1, 2, 3, 4}], None),  # four would be too many
        (" [1] ", [{1}], None),
    ],
)
def test_rewrite(text, needed, result):
    assert mended(text, *needed) == result


def test_each_sentence_is_looked_at_alone_and_one_without_support_spoils_the_answer():
    assert mended("Wheat [sic] is dry [2]. So is maize. [1]", {1}) == "Wheat [sic] is dry [1]. So is maize. [1]"

    async def only_wheat(numbers, claim):
        return "Wheat" in claim

    assert asyncio.run(rewrite("Wheat is dry [1]. Maize is not [1].", 2, only_wheat)) is None


SETS = st.lists(st.frozensets(st.integers(1, 4), min_size=1, max_size=4), min_size=1, max_size=3)
TEXTS = st.lists(st.sampled_from(["Wheat is dry", " [1]", "[2]", " [3, 4]", "[0]", "[7]", ". ", " Maize."])).map(
    "".join
)


@settings(deadline=None)
@given(TEXTS, SETS)
def test_the_text_is_untouched_the_result_is_supported_and_rewriting_it_changes_nothing(text, needed):
    result = mended(text, *needed, passages=4)
    if result is None:
        return
    assert MarkedText.parse(result).plain == MarkedText.parse(text).plain
    assert all(1 <= len(sentence.numbers) <= 3 for sentence in MarkedText.parse(result).sentences())
    assert supported(result, *needed, passages=4)
    assert mended(result, *needed, passages=4) == result


@pytest.mark.parametrize(
    ("text", "verdict"),
    [("A [1].", True), ("A.", False), ("A [2].", False), ("A [1][9].", False), ("A [0].", False), ("", False),
     ("Wheat is dry [1]. Maize is not.", False), ("A [2][1].", True), ("A [2][3][4][1].", False)],
)  # fmt: skip
def test_an_answer_is_supported_when_every_sentence_cites_enough_and_nothing_out_of_range(text, verdict):
    assert supported(text, {1}) is verdict


def test_nothing_is_asked_twice_and_a_hard_answer_costs_few_questions():
    stub = Stub({2, 3, 5})
    supports = asked_once(stub)
    text = "One [1]. Two [1][2]. Three. Four [5][4]."

    async def both():
        await is_supported(text, 5, supports)
        await rewrite(text, 5, supports)

    asyncio.run(both())
    assert set(stub.asked.values()) == {1}
    assert len(stub.asked) <= 4 * 25
