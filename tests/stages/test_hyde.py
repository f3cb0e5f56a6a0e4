"""Queries made of hypothetical passages."""

import asyncio

import pytest

from ragkit.models import ScriptedModel
from ragkit.stages import RewriteHyde
from ragkit.testing import check_stage


def queries(stage, question="How dry must wheat be?"):
    return asyncio.run(stage.run(question))


def test_it_behaves_as_a_stage():
    check_stage(RewriteHyde(model=ScriptedModel(default="Wheat is stored at 14 percent.")))


@pytest.mark.parametrize("prompt", ["rewrite.hyde", "rewrite.hyde.few_shot"])
def test_the_question_and_the_passage_are_queries(prompt):
    model = ScriptedModel(default=" Wheat is stored at\n 14 percent. ")
    made = queries(RewriteHyde(model=model, prompt=prompt))
    expected = "Wheat is stored at 14 percent." if prompt == "rewrite.hyde" else "Wheat is stored at"
    assert made == ("How dry must wheat be?", expected)
    assert "How dry must wheat be?" in model.prompts[0]
    assert queries(RewriteHyde(model=model, prompt=prompt, keep_question=False)) == (expected,)


def test_several_passages_are_drawn():
    asked = []

    class Drawing(ScriptedModel):
        def _generate(self, prompt, args):
            asked.append((args.get("temperature", 0.0), args.get("draw", 0)))
            return super()._generate(prompt, args)

    queries(RewriteHyde(model=Drawing(default="x"), passages=3))
    assert asked == [(0.0, 0), (0.7, 1), (0.7, 2)]


@pytest.mark.parametrize("keep", [True, False])
def test_an_empty_reply_leaves_the_question(keep):
    assert queries(RewriteHyde(model=ScriptedModel(default="  "), keep_question=keep)) == ("How dry must wheat be?",)


def test_a_question_is_no_template():
    model = ScriptedModel(default="x")
    queries(RewriteHyde(model=model), "What is {{ this }} {% and %} {that}?")
    assert "What is {{ this }} {% and %} {that}?" in model.prompts[0]
