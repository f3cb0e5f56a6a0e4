"""Answers without passages."""

import asyncio

import pytest

from ragkit.models import ScriptedModel
from ragkit.stages import AnswerClosedBook
from ragkit.testing import check_stage


def answer(reply, **settings):
    stage = AnswerClosedBook(model=ScriptedModel(default=reply), **settings)
    return asyncio.run(stage.run("Who?"))


def test_it_behaves_as_a_stage():
    check_stage(AnswerClosedBook(model=ScriptedModel(default="Tin")))


@pytest.mark.parametrize("prompt", ["answer.closed_book", "answer.closed_book.few_shot"])
def test_the_first_line_is_the_answer(prompt):
    assert answer("Tin\nQuestion: more?", prompt=prompt) == "Tin"


@pytest.mark.parametrize("reply", ["", "  ", "Unanswerable.", "unanswerable"])
def test_abstentions(reply):
    assert answer(reply) is None


def test_the_question_and_the_word_for_abstaining_are_in_the_prompt():
    rules = [{"matches": "(?s)exactly: pass.*Who[?]", "reply": "seen"}]
    stage = AnswerClosedBook(model=ScriptedModel(rules=rules, default="not seen"), abstain="pass")
    assert asyncio.run(stage.run("Who?")) == "seen"
