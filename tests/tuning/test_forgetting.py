"""What a model could do before: the probe of base and tuned models."""

import re

import pytest

from ragkit.engine.cache import CallCache
from ragkit.evaluation.statistics import paired_test
from ragkit.models.scripted import Rule, ScriptedModel
from ragkit.tuning import forgetting
from ragkit.tuning.forgetting import FACTS, FACTS_AS_CODE, INSTRUCTIONS, TEXT, probe

ITEMS = forgetting._items()


def knowing(prompt):
    """Knows every fact in plain spelling, and follows no instruction."""
    return {fact[0]: f" {fact[1]}" for fact in ITEMS["facts"]}.get(prompt, "?")


def test_each_item_has_a_score_and_each_task_a_mean_with_its_interval():
    found = probe(ScriptedModel(reply=knowing, default="?"))
    assert {name: len(scores) for name, scores in found.scores.items()} == {
        TEXT: len(ITEMS["text"]),
        FACTS: len(ITEMS["facts"]),
        FACTS_AS_CODE: len(ITEMS["facts"]),
        INSTRUCTIONS: len(ITEMS["instructions"]),
    }
    figures = {figure.name: figure for figure in found.figures}
    assert figures[FACTS].value == pytest.approx(0.9)
    assert figures[FACTS].low <= figures[FACTS].value <= figures[FACTS].high
    assert figures[INSTRUCTIONS].value == 0
    assert found.left_out == {}


def test_models_are_compared_item_by_item():
    def forgetful(prompt):
        return " Rome" if prompt == "The capital of France is" else knowing(prompt)

    base = probe(ScriptedModel(reply=knowing, default="?")).scores
    tuned = probe(ScriptedModel(reply=forgetful, default="?")).scores
    assert paired_test(tuned[FACTS], base[FACTS]).losses == 1
    assert tuned[FACTS_AS_CODE] == base[FACTS_AS_CODE]


def test_facts_as_code_are_asked_as_code():
    model = ScriptedModel(rules=(Rule(contains='sentence = "The capital of France is', reply=" Paris"),), default="?")
    scores = probe(model).scores
    assert scores[FACTS_AS_CODE][0] == pytest.approx(0.9)


def test_text_is_scored_by_its_likelihood():
    first = ITEMS["text"][0]
    model = ScriptedModel(reply=lambda prompt: first["rest"] if prompt == first["start"] else "?", default="?")
    scores = probe(model).scores[TEXT]
    assert scores[0] > scores[1]


@pytest.mark.parametrize(
    ("ask", "reply", "score"),
    [
        ("Answer with one word: what is the capital of Spain?", "Madrid.", 1),
        ("Answer with one word: what is the capital of Spain?", "It is the beautiful city of Madrid.", 0),
        ("Write the word 'river' in capital letters.", "RIVER", 1),
        ("Write the word 'river' in capital letters.", "River", 0),
        ("Count from one to five.", "1, 2, 3, 4, 5", 1),
        ("Count from one to five.", "1, 3, 2, 4, 5", 0),
        ("Name three colours.", "red,\ngreen and blue", 1),
        ("Name three colours.", "red and green", 0),
        ("Write the list 'milk, eggs, bread' with one item on each line.", "milk\neggs\nbread", 1),
        ("Write the list 'milk, eggs, bread' with one item on each line.", "milk, eggs, bread", 0),
        ("Is ice cold? Answer yes or no.", "Yes, it is.", 1),
        ("Is ice cold? Answer yes or no.", "No. Well, yes.", 0),
    ],
)
def test_an_instruction_is_followed_or_not(ask, reply, score):
    model = ScriptedModel(rules=(Rule(contains=ask, reply=reply),), default="")
    position = [item["ask"] for item in ITEMS["instructions"]].index(ask)
    assert probe(model).scores[INSTRUCTIONS][position] == score


def test_no_reply_follows_every_instruction_and_none_is_empty():
    for reply in ("", "yes", "I am sorry, I cannot help you with that."):
        followed = [
            re.search(item["matches"], reply, re.IGNORECASE | re.DOTALL) is not None for item in ITEMS["instructions"]
        ]
        assert sum(followed) <= 2


def test_the_right_continuation_is_one_of_four_different_ones():
    for start, *choices in ITEMS["facts"]:
        assert len({choice.casefold() for choice in choices}) == 4, start


def test_a_second_probe_is_answered_by_the_cache(tmp_path):
    model = ScriptedModel(default="?")
    cache = CallCache(tmp_path / "calls.sqlite")
    first = probe(model, cache=cache)
    asked = len(model.prompts)
    assert probe(model, cache=cache) == first
    assert len(model.prompts) == asked
    cache.close()
