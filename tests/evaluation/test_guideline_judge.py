"""A rubric of its own for each question."""

import json

import pytest
from evaluation_builders import prediction, question

from ragkit.evaluation.judges import GuidelineJudge, RubricJudge, run_judges
from ragkit.models.scripted import Rule, ScriptedModel
from ragkit.prompts import render

ASKED = question("1", ("14 percent, aerated",))


def rubric(*criteria):
    return json.dumps({"criteria": list(criteria)})


def marked(grade):
    return json.dumps({"reason": "because", "grade": grade})


def judged(model, *answers, **settings):
    rows = [prediction("1", answer) for answer in answers]
    judge = GuidelineJudge(model=model, **settings)
    return run_judges({"guide": judge}, [ASKED] * len(answers), rows)


def test_the_share_of_criteria_that_are_met():
    rules = (
        Rule(contains="You write the rubric", reply=rubric("It says 14 percent.", "It says to aerate.")),
        Rule(matches='Answer to mark: "14 percent"\nCriterion: "It says 14 percent."', reply=marked("yes")),
    )
    model = ScriptedModel(rules=rules, default=marked("no"))
    judging = judged(model, "14 percent", "wet")
    assert judging.figures["guide"].values == [0.5, 0.0]
    criteria = judging.rows[0]["details"]["criteria"]
    assert [(row["criterion"], row["met"]) for row in criteria] == [
        ("It says 14 percent.", 1.0),
        ("It says to aerate.", 0.0),
    ]


def test_one_rubric_serves_all_answers_and_never_sees_them():
    rules = (Rule(contains="You write the rubric", reply=rubric("It says 14 percent.")),)
    model = ScriptedModel(rules=rules, default=marked("yes"))
    judged(model, "14 percent", "fourteen")
    asked = [prompt for prompt in model.prompts if "You write the rubric" in prompt]
    assert len(asked) == 1
    assert "fourteen" not in asked[0]
    assert "14 percent, aerated" in asked[0]


def test_choosing_gives_the_probability_that_a_criterion_is_met():
    rules = (Rule(contains="You write the rubric", reply=rubric("a criterion")), Rule(contains="Is the", reply="yes"))
    assert judged(ScriptedModel(rules=rules), "x", mode="choose").figures["guide"].values == [pytest.approx(0.9)]


@pytest.mark.parametrize("reply", ["[]", rubric(), rubric("   "), '{"criteria": "one"}', "no JSON"])
def test_a_reply_that_is_no_rubric_is_a_failure_and_no_score(reply):
    judging = judged(ScriptedModel(default=reply), "14 percent")
    assert judging.figures["guide"].values == [None]
    assert "ReplyError" in judging.rows[0]["failures"][""]


def test_what_needs_no_rubric_asks_no_model():
    model = ScriptedModel()
    assert judged(model, None).figures["guide"].values == [0.0]
    assert model.prompts == []


@pytest.mark.parametrize("name", ["judge.correctness", "judge.faithfulness", "judge.succinctness"])
def test_correctness_is_full_partial_or_wrong(name):
    reply = json.dumps({"reason": "because", "grade": "partial"})
    model = ScriptedModel(default=reply)
    judge = RubricJudge(models=(model,), prompt=name, scale="full_partial_wrong")
    assert run_judges({"j": judge}, [ASKED], [prediction("1", "14 percent")]).figures["j"].values == [0.5]
    assert "Grades: full, " in model.prompts[0]
    values = {"question": "q", "answer": "a", "answers": ["b"], "passages": ["p"], "grades": ["1"] * 5, "mode": "reply"}
    assert "Grades: 5, " in str(render(name, **values))
