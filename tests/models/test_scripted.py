import asyncio
import json
import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from pydantic import ValidationError

from ragkit.engine.batching import execute_in_batches
from ragkit.engine.calls import Request
from ragkit.errors import InputError, RagkitError
from ragkit.models.scripted import HashEncoder, OverlapReranker, Rule, ScriptedModel


def ask(model, prompt, **settings):
    return asyncio.run(model.generate(prompt, **settings))


def test_first_fitting_rule_answers():
    model = ScriptedModel(
        rules=[{"contains": "France", "reply": "Paris"}, {"contains": "F", "reply": "?"}], default="no"
    )
    assert ask(model, "Capital of France?").text == "Paris"
    assert ask(model, "For what?").text == "?"
    assert ask(model, "what").text == "no"
    assert model.prompts == ["Capital of France?", "For what?", "what"]
    assert model.batches == [1, 1, 1]


def test_chat_turns_are_one_text_and_tokens_are_words():
    model = ScriptedModel(default="two words")
    generation = ask(model, [{"role": "system", "content": "be brief"}, {"role": "user", "content": "say it now"}])
    assert (generation.prompt_tokens, generation.completion_tokens) == (5, 2)
    assert model.prompts == ["be brief\nsay it now"]
    assert asyncio.run(model.count_tokens(" one\n two ")) == 2


def test_reply_groups_come_from_the_regular_expression_only():
    model = ScriptedModel(
        rules=[
            {
                "matches": r"capital of (\w+) in (?P<year>\d+)",
                "reply": '{"of": "{1}", "y": "{year}", "all": "{match}", "x": "{other}"}',
            }
        ]
    )
    reply = json.loads(ask(model, "the capital of {year} no, the capital of Peru in 1900").text)
    assert reply == {"of": "Peru", "y": "1900", "all": "capital of Peru in 1900", "x": "{other}"}


def test_matched_text_is_never_expanded_again():
    model = ScriptedModel(rules=[{"matches": r"say (.*) by (\w+)", "reply": "{1}"}])
    assert ask(model, "say {2} {0.__class__} by eve").text == "{2} {0.__class__}"


@pytest.mark.parametrize(
    "rule",
    [
        {"reply": "x"},
        {"contains": "a", "matches": "b", "reply": "x"},
        {"matches": "(", "reply": "x"},
        {"contains": "a"},
        {"contains": "a", "reply": "b", "more": 1},
    ],
)
def test_wrong_rules_are_refused(rule):
    with pytest.raises(ValidationError):
        ScriptedModel(rules=[rule])


def test_without_rule_and_default_the_prompt_is_named():
    with pytest.raises(RagkitError, match=r"no rule .* 'unknown thing'"):
        ask(ScriptedModel(), "unknown thing")


def test_schema_is_checked_and_stop_cuts():
    schema = {"type": "object", "required": ["a"]}
    assert ask(ScriptedModel(default='{"a": 1}'), "x", schema=schema).text == '{"a": 1}'
    with pytest.raises(RagkitError, match="not JSON"):
        ask(ScriptedModel(default="a: 1"), "x", schema=schema)
    with pytest.raises(RagkitError, match=r"breaks the schema .*'a' is a required property"):
        ask(ScriptedModel(default="{}"), "x", schema=schema)
    assert ask(ScriptedModel(default="one. two! three"), "x", stop=["!", "."]).text == "one"


def test_choose():
    model = ScriptedModel(
        rules=[{"contains": "good", "reply": "yes"}, {"contains": "odd", "reply": "maybe"}], default="text"
    )
    choice = asyncio.run(model.choose("is it good", ["no", "yes"]))
    assert choice.label == "yes"
    assert sum(map(math.exp, choice.logprobs.values())) == pytest.approx(1)
    assert asyncio.run(model.choose("nothing", ["no", "yes"])).label == "no"
    assert asyncio.run(model.choose("nothing", ["only"])).logprobs == {"only": 0.0}
    with pytest.raises(RagkitError, match="'maybe' is none of the choices"):
        asyncio.run(model.choose("odd", ["no", "yes"]))
    with pytest.raises(InputError, match="empty"):
        asyncio.run(model.choose("odd", []))


def test_function_replies_and_one_failure_harms_no_neighbour():
    def reply(prompt):
        if "bad" in prompt:
            raise KeyError("bad")
        return prompt.upper()

    model = ScriptedModel(reply=reply, max_batch_size=3)
    outcomes = {}
    requests = [Request("generate", {"prompt": p, "max_new_tokens": 5}) for p in ["a", "bad", "c", "d"]]
    execute_in_batches(model, requests, lambda positions, found: outcomes.update(zip(positions, found, strict=True)))
    assert [outcomes[i].value["text"] for i in (0, 2, 3)] == ["A", "C", "D"]
    assert isinstance(outcomes[1], KeyError)
    assert model.batches == [3, 1]


def test_fingerprints():
    one = ScriptedModel(rules=[Rule(contains="a", reply="b")])
    assert (
        one.fingerprint()
        == ScriptedModel(rules=[Rule(contains="a", reply="b")], seconds=1, max_batch_size=3).fingerprint()
    )
    assert one.fingerprint() != ScriptedModel(rules=[Rule(contains="a", reply="c")]).fingerprint()
    functions = [lambda p: p, lambda p: p + "x", lambda p: next(iter(p))]
    assert len({ScriptedModel(reply=f).fingerprint() for f in functions}) == 3
    assert len({ScriptedModel(reply=lambda p: (lambda q: q)(p)).fingerprint() for _ in range(2)}) == 1


class Suffix:
    def __init__(self, text):
        self.text = text

    def __call__(self, prompt):
        return prompt + self.text


@dataclass
class Named(Suffix):
    text: str


def test_functions_that_differ_in_what_they_hold_have_fingerprints_of_their_own():
    def adding(text, seen):
        return lambda prompt: seen.append(prompt) or prompt + text

    def with_default(text):
        def reply(prompt, text=text):
            return prompt + text

        return reply

    for make in [
        lambda text: adding(text, []),
        with_default,
        lambda text: partial(lambda text, prompt: prompt + text, text),
        lambda text: partial(lambda prompt, text: prompt + text, text=text),
        lambda text: Named(text),
        lambda text: Named(text).__call__,
    ]:
        assert len({ScriptedModel(reply=make(text)).fingerprint() for text in "aabb"}) == 2
    nameless = [ScriptedModel(reply=make) for make in (Suffix("a"), Suffix("a"), "a".join, partial(max, Suffix("a")))]
    assert len({model.fingerprint() for model in nameless}) == 4
    model = ScriptedModel(reply=adding("a", []))
    before = model.fingerprint()
    ask(model, "x")
    assert model.fingerprint() == before


def test_the_schema_for_editors_knows_no_python_only_field():
    assert "reply" not in ScriptedModel.model_json_schema()["properties"]


def test_hash_encoder():
    encoder = HashEncoder(dimension=64)
    soil, same, other, empty = (
        asyncio.run(encoder.embed(text, kind))
        for text, kind in [
            ("Clay soil holds water", "query"),
            ("water holds clay SOIL", "passage"),
            ("engines burn diesel", "passage"),
            ("", "passage"),
        ]
    )
    assert soil.dtype == np.float32 and soil.shape == (64,)
    np.testing.assert_array_equal(soil, same)
    assert np.linalg.norm(soil) == pytest.approx(1)
    assert soil @ other < 0.9
    assert not empty.any()
    assert encoder.describe() == {"provider": "hash", "dimension": 64}


def test_overlap_reranker():
    reranker = OverlapReranker()
    assert asyncio.run(reranker.score("clay soil", "Soil, not sand")) == 0.5
    assert asyncio.run(reranker.score("", "Soil")) == 0.0
