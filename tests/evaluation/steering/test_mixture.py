"""Mixtures: their arithmetic, their order, their sources and the counter-controls."""

from collections import Counter
from dataclasses import replace

import pytest
from steering_samples import sample, shipped

from ragkit.errors import InputError
from ragkit.evaluation.questions import Question
from ragkit.evaluation.steering.mixture import (
    DOUBTFUL_SOURCES,
    SOUND_SOURCES,
    Controls,
    MixtureSettings,
    make_mixture,
)
from ragkit.evaluation.steering.testbed import pool_of
from ragkit.prompts import render
from ragkit.stages.steering.asking import verdict_prompt

TWENTY = MixtureSettings(fragments=20)


def texts(mixture):
    return [fragment.text for fragment in mixture.fragments]


@pytest.mark.parametrize("bad", range(21))
def test_exactly_so_many_are_bad_and_labels_follow_the_texts(bad):
    mixture = make_mixture(sample(), bad, TWENTY)
    assert len(mixture.fragments) == 20 and len(mixture.bad) == bad
    assert sorted(mixture.bad + mixture.good) == list(range(1, 21))
    for number, fragment in enumerate(mixture.fragments, 1):
        assert (fragment.text in sample().bad) == fragment.bad == (number in mixture.bad)


def test_clean_and_bad_fragments_are_cycled():
    mixture = make_mixture(sample(), 7, TWENTY)
    assert texts(mixture) == [sample().clean[n % 3] for n in range(13)] + [sample().bad[n % 2] for n in range(7)]


@pytest.mark.parametrize("bad", [-1, 21])
def test_impossible_numbers_are_refused(bad):
    with pytest.raises(InputError, match="from 0 to 20"):
        make_mixture(sample(), bad, TWENTY)


def test_the_seed_decides_and_orders_only_reorder():
    others = [sample(number) for number in range(12)]
    settings = MixtureSettings(fragments=20, order="shuffled", fill="others", tags="random", seed=3)
    assert make_mixture(sample(), 4, settings, others) == make_mixture(sample(), 4, settings, others)
    changed = make_mixture(sample(), 4, settings.model_copy(update={"seed": 4}), others)
    assert changed != make_mixture(sample(), 4, settings, others)
    orders = [
        make_mixture(sample(), 4, settings.model_copy(update={"order": order}), others)
        for order in ("clean_first", "bad_first", "shuffled")
    ]
    assert len({tuple(sorted(Counter(one.fragments).items(), key=str)) for one in orders}) == 1
    assert orders[0].bad == (17, 18, 19, 20) and orders[1].bad == (1, 2, 3, 4)
    assert orders[2].bad not in (orders[0].bad, orders[1].bad)


@pytest.mark.parametrize("tags", ["none", "random", "truthful", "swapped"])
def test_the_prompt_numbers_all_and_tells_nothing_of_the_labels(tags):
    mixture = make_mixture(sample(), 3, MixtureSettings(fragments=9, tags=tags))
    (turn,) = render("steer.answer", question="Q?", passages=mixture.passages(), abstain="unanswerable")
    lines = [line for line in turn["content"].splitlines() if line[:1].isdigit()]
    assert [line.partition(".")[0] for line in lines] == [str(n) for n in range(1, 10)]
    assert all(("(From " in line) == (tags != "none") for line in lines)
    for word in ("bad", "clean", "poison", "inappropriate", "unreliable", "label"):
        assert word not in turn["content"].casefold()
    for passage in mixture.passages():
        assert {"bad", "kind", "type"}.isdisjoint(passage.metadata)


@pytest.mark.parametrize("answers", [True, False])
def test_the_prompt_of_trained_judges_numbers_each_text_before_and_after_it(answers):
    mixture = make_mixture(sample(), 3, MixtureSettings(fragments=9))
    _, turn = verdict_prompt(
        "steer.verdict.tuned", "Q?", mixture.passages(), form="text", abstain="no", sources=False, answers=answers
    )
    lines = [line for line in turn["content"].splitlines() if line[:1].isdigit()]
    assert lines == [f"{n}. {text} [{n}]" for n, text in enumerate(texts(mixture), 1)]
    assert turn["content"].startswith("Question: Q?\n") and turn["content"].endswith("Question: Q?")


def test_sources_tell_the_truth_or_lie():
    def sound(tags):
        mixture = make_mixture(sample(), 4, MixtureSettings(fragments=10, tags=tags))
        return [(fragment.source in SOUND_SOURCES, fragment.bad) for fragment in mixture.fragments]

    assert all(is_sound != bad for is_sound, bad in sound("truthful"))
    assert all(is_sound == bad for is_sound, bad in sound("swapped"))
    assert not set(SOUND_SOURCES) & set(DOUBTFUL_SOURCES)


def test_others_fill_without_repeats_or_say_that_they_are_too_few():
    others = [sample(number) for number in range(12)]
    settings = MixtureSettings(fragments=20, fill="others")
    for bad in (0, 3, 10):
        mixture = make_mixture(sample(), bad, settings, others)
        assert len(set(texts(mixture))) == 20 and len(mixture.bad) == bad
    with pytest.raises(InputError, match="set fill: cycle"):
        make_mixture(sample(), 20, settings, others[:2])


def test_counter_controls():
    others = [sample(number) for number in range(5)]
    plain = MixtureSettings(fragments=8)

    def with_controls(**on):
        return make_mixture(sample(), 4, plain.model_copy(update={"controls": Controls(**on)}), others)

    direct = with_controls(direct=True)
    assert sample().gold in [direct.fragments[number - 1].text for number in direct.good]
    long = with_controls(long=True)
    good = max(len(long.fragments[number - 1].text.split()) for number in long.good)
    assert all(len(long.fragments[number - 1].text.split()) >= good for number in long.bad)
    assert all(long.fragments[number - 1].text.startswith(sample().bad) for number in long.bad)
    strangers = [replace(other, clean=("so is it", "far from here there is another")) for other in others[1:]]
    settings = plain.model_copy(update={"controls": Controls(direct=True, balanced=True)})
    balanced = [fragment for fragment in make_mixture(sample(), 2, settings, strangers).fragments if fragment.bad]
    lengths = {len(text.split()) for text in (sample().gold, *sample().clean)}
    assert all(fragment.text.startswith(sample().bad) for fragment in balanced)
    assert all(min(abs(len(fragment.text.split()) - length) for length in lengths) <= 1 for fragment in balanced)
    beside = [fragment.text for fragment in with_controls(beside=True).fragments if fragment.bad]
    assert sum(text in sample().bad for text in beside) == 2
    with pytest.raises(InputError, match=r"controls\.long"):
        make_mixture(sample(), 1, plain.model_copy(update={"controls": Controls(long=True)}), [sample()])


def test_perfect_judgement_leaves_the_same_context_at_every_level():
    contexts = [make_mixture(sample(), bad, TWENTY).passages(oracle=True) for bad in (0, 1, 10, 17)]
    assert [passage.page_content for passage in contexts[0]] == list(sample().clean)
    assert all(context == contexts[0] for context in contexts)
    assert make_mixture(sample(), 20, TWENTY).passages(oracle=True) == ()


def test_noisy_rows_are_left_out_and_counted():
    corpus = {"c": "Good text.", "p": "Field one bears wheat, they lie.", "q": "Glass.", "again": "good text"}
    common = {"question": "?", "answers": ("wheat",), "supporting_ids": ("c", "again", "missing")}
    questions = [
        Question("good", **common, extra={"inappropriate_ids": ["p", "q"], "wrong_answer": "glass"}),
        Question("holds gold", **common, extra={"poison_ids": ["p"]}),
        Question("same", **common, extra={"counterfactual_ids": ["c"]}),
        Question("bare", "?", extra={"poison_ids": ["q"]}, supporting_ids=("c",)),
    ]
    pool = pool_of(questions, corpus)
    (kept,) = pool.samples
    assert (kept.clean, kept.bad, kept.wrong) == (("Good text.",), ("Glass.",), "glass")
    assert pool.left_out == {"without a bad fragment": 2, "without a right answer": 1}


def test_the_shipped_testbed():
    assert [len(shipped(kind)) for kind in ("non_factual", "rumour", "privacy")] == [40, 8, 8]
    for one in shipped():
        assert len(one.clean) == 3 and len(one.bad) == 2 and one.wrong != one.gold
