"""PA-RAG's prompts: which passages, in which order."""

import pytest

from ragkit.engine.state import Passage
from ragkit.tuning.builders.pa_rag.base import moved
from ragkit.tuning.builders.pa_rag.scenarios import Tiers, documents_for

MODES = ("golden", "golden+noise", "subgolden", "subgolden+noise", "no_golden")


def passages(letter, count):
    return tuple(Passage(id=f"{letter}{number}", page_content=f"text {number}") for number in range(count))


def tiers(golden=5, noise=2):
    return Tiers(passages("g", golden), passages("r", noise), passages("i", noise))


def ids(documents):
    return [document.id for document in documents]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("question", [f"q{n}" for n in range(20)])
def test_golden_passages_keep_their_order_in_every_scenario(mode, question):
    golden = [name for name in ids(documents_for(mode, tiers(), 0, question)) if name.startswith("g")]
    assert golden == sorted(golden)


@pytest.mark.parametrize(("golden", "kept"), [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2)])
def test_how_many_golden_passages_stay(golden, kept):
    assert len(documents_for("subgolden", tiers(golden), 0, "q")) == kept


@pytest.mark.parametrize("noise", [0, 1, 2])
def test_all_noise_there_is_stands_in_a_noisy_prompt_and_nothing_is_cut(noise):
    names = ids(documents_for("golden+noise", tiers(5, noise), 0, "q"))
    assert len(names) == len(set(names)) == 5 + 2 * noise


def test_a_noisy_prompt_of_some_golden_passages_has_those_that_the_same_prompt_without_noise_has():
    for question in map(str, range(20)):
        bare = ids(documents_for("subgolden", tiers(), 0, question))
        noisy = ids(documents_for("subgolden+noise", tiers(), 0, question))
        assert [name for name in noisy if name.startswith("g")] == bare


def test_without_golden_passages_there_is_noise_only():
    assert sorted(ids(documents_for("no_golden", tiers(), 0, "q"))) == ["i0", "i1", "r0", "r1"]


def test_a_prompt_depends_on_seed_and_question_alone():
    first = {question: ids(documents_for("golden+noise", tiers(), 7, question)) for question in "abcdef"}
    again = {question: ids(documents_for("golden+noise", tiers(), 7, question)) for question in "fcbeda"}
    assert first == again
    assert len({tuple(order) for order in first.values()}) > 1
    assert first != {question: ids(documents_for("golden+noise", tiers(), 8, question)) for question in "abcdef"}


def test_citations_follow_their_passages_into_another_prompt():
    golden = passages("g", 4)
    some = (golden[0], golden[3])
    assert moved("Paris [2].", some, golden) == "Paris [4]."
    noisy = documents_for("golden+noise", tiers(4), 0, "q")
    there = moved("Paris [2].", some, noisy)
    assert there is not None
    assert moved(there, noisy, some) == "Paris [2]."
    assert f"[{ids(noisy).index('g3') + 1}]" in there


@pytest.mark.parametrize("text", ["Paris [2].", "Paris [0].", "Paris [9]."])
def test_a_citation_of_what_is_not_there_cannot_be_moved(text):
    golden = passages("g", 2)
    assert moved(text, golden, golden[:1]) is None
