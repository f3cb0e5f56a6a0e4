"""How sure a reader is of its answer."""

import asyncio

import pytest

from ragkit.engine.state import Citation, Passage
from ragkit.models import ScriptedModel
from ragkit.stages import AnswerCertainty
from ragkit.testing import check_stage

CITED = (Citation("p", "p"),)
PASSAGES = (Passage(id="p", page_content="Tin melts at 232 degrees."),)


def ask(reply, confidence=0.4, answer="232 degrees", **settings):
    stage = AnswerCertainty(model=ScriptedModel(default=reply), **settings)
    return asyncio.run(stage.run("When does tin melt?", PASSAGES, answer, CITED, confidence))


def test_it_behaves_as_a_stage():
    check_stage(AnswerCertainty(model=ScriptedModel(default="sure")), confidence=0.5)


# The scripted model is sure of its choice by 0.9.
@pytest.mark.parametrize(("reply", "expected"), [("sure", 0.65), ("unsure", 0.25)])
def test_confidence_is_the_mean_of_what_it_says_and_of_what_the_reading_had(reply, expected):
    found = ask(reply)
    assert found["vars.confidence"] == pytest.approx(expected)
    assert found["answer"] == "232 degrees" and found["citations"] == CITED


def test_without_a_confidence_of_the_reading_it_is_what_the_model_says():
    assert ask("sure", confidence=None)["vars.confidence"] == pytest.approx(0.9)


def test_an_answer_below_the_threshold_is_kept_back():
    found = ask("unsure", at_least=0.5)
    assert found == {"answer": None, "citations": (), "vars.confidence": pytest.approx(0.25)}
    assert ask("sure", at_least=0.5)["answer"] == "232 degrees"


def test_an_abstention_stays_one_and_costs_no_call():
    assert ask("sure", answer=None) == {"answer": None, "citations": (), "vars.confidence": 0.4}


def test_the_prompt_holds_passages_question_and_answer():
    seen = r"(?s)\[1\] p: Tin melts.*When does tin melt.*232 degrees.*sure or unsure"
    stage = AnswerCertainty(model=ScriptedModel(rules=[{"matches": seen, "reply": "sure"}], default="unsure"))
    found = asyncio.run(stage.run("When does tin melt?", PASSAGES, "232 degrees", CITED, 0.0))
    assert found["vars.confidence"] == pytest.approx(0.45)
