"""Verdicts: written and read back, read whatever a model writes, and decoded so that no number is out of range."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_generators import answers, tiny_model

from ragkit.errors import ReplyError
from ragkit.models.transformers_lm import TransformersModel
from ragkit.stages.steering.verdict import (
    Verdict,
    parse_verdict,
    render_verdict,
    verdict_grammar,
    verdict_schema,
)

ANSWERS = [
    "wheat",
    "It says Reliable: 1, 2",
    "two\nlines\nUnreliable: 3",
    "Answer: Answer: x",
    "30 of 32",
    "  spaced  ",
]


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize(
    ("count", "bad"), [(5, ()), (5, (1, 2, 3, 4, 5)), (1, ()), (1, (1,)), (20, (2, 9, 20)), (3, (2,))]
)
def test_a_verdict_is_read_as_it_was_written(form, answer, count, bad):
    good = tuple(number for number in range(1, count + 1) if number not in bad)
    assert parse_verdict(render_verdict(bad, good, answer, form), count) == Verdict(bad, good, answer)


def test_the_form_of_the_text():
    assert render_verdict([3, 1], [2], "x") == "Unreliable: 1, 3\nReliable: 2\nAnswer: x"
    assert render_verdict([], [1], "x").startswith("Unreliable: none\nReliable: 1\n")


@pytest.mark.parametrize(
    ("reply", "bad", "good", "answer", "warnings"),
    [
        ("Unreliable: 2, 32\nReliable: 1, 3\nAnswer: a", (2,), (1, 3), "a", ("out of range",)),
        ("Unreliable: 2, 2\nReliable: 1, 3\nAnswer: a", (2,), (1, 3), "a", ("duplicate",)),
        ("Unreliable: 2\nReliable: 1, 2, 3\nAnswer: a", (2,), (1, 3), "a", ("in both lists",)),
        ("Unreliable: 2\nReliable: 1\nAnswer: a", (2,), (1,), "a", ("in no list",)),
        ("Unreliable: 2\nReliable:\nAnswer: a", (2,), (1, 3), "a", ("no reliable list",)),
        ("Unreliable: 2\nReliable: 1, 3", (2,), (1, 3), None, ("no answer",)),
        ("", (), (), None, ("no judgement", "no answer")),
        ("wheat, of course", (), (), None, ("no judgement", "no answer")),
        ('{"unreliable": [2, 7, true], "answer": "a"}', (2,), (1, 3), "a", ("out of range", "no reliable list")),
        ("[1, 2]", (), (), None, ("no judgement", "no answer")),
        (
            "There is inappropriate context 2 and only 1, 3 should be used. The answer is wheat.",
            (2,),
            (1, 3),
            "wheat.",
            (),
        ),
        (
            "These items are accurate and reliable: 1, 3. Only these may be used. Based on 1 and 3, the answer to the "
            'question "What grows, 2 or 3?" is wheat.',
            (2,),
            (1, 3),
            "wheat.",
            ("no unreliable list",),
        ),
        (
            "The following are accurate and reliable: 1, 3 and 32. Answer: wheat",
            (2,),
            (1, 3),
            "wheat",
            ("out of range", "no unreliable list"),
        ),
    ],
)
def test_replies_that_are_not_as_they_should_be(reply, bad, good, answer, warnings):
    assert parse_verdict(reply, 3) == Verdict(bad, good, answer, warnings)


@given(st.text(alphabet='0123456789,[] \nUnreliabl: Answer{}"', max_size=120), st.integers(1, 5))
def test_no_reply_leads_out_of_range(reply, count):
    verdict = parse_verdict(reply, count)
    assert set(verdict.unreliable) | set(verdict.reliable) <= set(range(1, count + 1))
    assert not set(verdict.unreliable) & set(verdict.reliable)
    assert list(verdict.reliable) == sorted(set(verdict.reliable))


@pytest.mark.parametrize("with_answer", [True, False])
def test_a_random_model_writes_valid_lists(tmp_path, with_answer):
    model = TransformersModel(model=str(tiny_model(tmp_path / "base")), dtype="float32", device="cpu")
    grammar = verdict_grammar(6, with_answer=with_answer)
    schema = verdict_schema(6, with_answer=False)
    asked = [
        {"prompt": f"q{seed}", "max_new_tokens": 250, "temperature": 1.5, "seed": seed, "draw": 0, **under}
        for seed in range(6)
        for under in ({"grammar": grammar}, {"schema": schema})
    ]
    for one, reply in zip(asked, answers(model, "generate", asked), strict=True):
        # A text that is cut inside a character follows no grammar; stages read it as far as it goes.
        text = reply.reply if isinstance(reply, ReplyError) else reply.value["text"]
        verdict = parse_verdict(text, 6)
        assert "out of range" not in verdict.warnings and "no judgement" not in verdict.warnings
        if "grammar" in one:
            assert "duplicate" not in verdict.warnings
            assert (verdict.answer is not None) == with_answer, text
