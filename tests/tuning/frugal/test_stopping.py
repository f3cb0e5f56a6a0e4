"""The reward of stopping against the table of the paper's formulas, h*, and advantages."""

import math

import pytest

from ragkit.engine.state import Passage
from ragkit.stages.agents.trajectory import Turn
from ragkit.tuning.builders.react import best_candidate, without_finish
from ragkit.tuning.frugal.evidence import candidate_scores, recall, recalls
from ragkit.tuning.frugal.stopping import StopReward, advantages, best_search

REWARD = StopReward()
TABLE = {
    1: [2.333, 1.609, 0.693, 0, -0.693, -1.609],
    2: [None, 2.667, 1.609, 0.693, 0, -0.693],
    3: [None, None, 3.000, 1.609, 0.693, 0],
    4: [None, None, None, 3.333, 1.609, 0.693],
    5: [None, None, None, None, 3.667, 1.609],
    6: [None, None, None, None, None, 4.000],
}


def passages(*names):
    return tuple(Passage(id=name, page_content=name) for name in names)


@pytest.mark.parametrize("best", TABLE)
def test_the_table(best):
    for searches, wanted in enumerate(TABLE[best], 1):
        if wanted is not None:
            assert REWARD.stop(searches, best, 1.0, 6) == pytest.approx(wanted, abs=1e-3)
    after = [REWARD.stop(n, best, 1.0, 6) for n in range(best, 7)]
    assert after == sorted(after, reverse=True) and len(set(after)) == len(after)


def test_what_was_not_found_should_be_searched_to_the_end():
    for recall_, best in ((0.5, 2), (0.0, None), (1.0, None)):
        values = [REWARD.stop(n, best, recall_, 6) for n in range(1, 7)]
        assert values == pytest.approx([-1.609, -0.693, 0, 0, 0, 0], abs=1e-3)


def test_a_question_s_own_tau_goes_before_the_default():
    assert REWARD.stop(2, 2, 0.5, 6) < 0 < REWARD.stop(2, 2, 0.5, 6, tau=0.5)
    assert REWARD.stop(2, 2, 0.6, 6) > 0


def test_clipping():
    assert REWARD.stop(2, 1, 1.0, 1000) == pytest.approx(1.9)
    assert StopReward(late_margin=0).stop(2, 1, 1.0, 1000) == pytest.approx(2.0)
    assert REWARD.stop(1000, 1, 1.0, 1000) == -2 == REWARD.stop(1, None, 0.0, 1000)


def test_format():
    assert REWARD.format([True, True]) == 0.5
    assert REWARD.format([True, False]) == 0 == REWARD.format([])


@pytest.mark.parametrize(("values", "best"), [([0, 0.5, 0.5, 1, 1], 4), ([0, 0, 0], None), ([1, 1], 1), ([], None)])
def test_best_search(values, best):
    assert best_search(values) == best


def test_recall_counts_gold_units_once_and_only_searches_that_found_something():
    turns = [
        Turn("", "search", "q", passages("a", "x"), new=2),
        Turn("", "add", "1", passages("tool")),
        Turn("", "search", "r", (), new=0),
        Turn("", "search", "s", passages("b"), new=1),
        Turn("", "finish", ""),
    ]
    assert recalls(turns, ("a", "b")) == [0.5, 1.0]
    page = Passage(id="d#p3.c0", page_content="t", metadata={"document": "d", "page": 3})
    assert recall([page, page], ("d#p3", "e")) == 0.5 and recall([page], ("d",)) == 1


def test_candidates_are_scored_each_by_itself():
    tried = [passages("A"), passages("x"), passages("B"), passages("A", "B")]
    scores = candidate_scores((), tried, ("A", "B"))
    assert scores == [0.5, 0.0, 0.5, 1.0] and best_candidate(scores) == 3
    assert best_candidate(candidate_scores((), [None, *tried[:3]], ("A", "B"))) == 1  # failures keep their places
    assert best_candidate(candidate_scores((), [None, None], ("A",))) is None
    assert best_candidate([]) is None


def test_the_mix_is_exact():
    ids = [f"q{n}" for n in range(1000)]
    chosen = without_finish(ids, 0.9, 663)
    assert len(chosen) == 900 and chosen < set(ids)
    assert chosen == without_finish(ids[::-1], 0.9, 663) != without_finish(ids, 0.9, 664)


def test_advantages():
    assert advantages([1.0, 1.0, 1.0]) == [0, 0, 0]
    above = advantages([0.0, 1.0])
    assert above == pytest.approx([-math.sqrt(0.5), math.sqrt(0.5)], abs=1e-3)
