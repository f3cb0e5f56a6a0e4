"""Citations mended after the answer."""

import asyncio

import pytest

from ragkit.engine.state import Citation, Passage
from ragkit.models import ScriptedModel
from ragkit.models.scripted import Rule
from ragkit.stages import AnswerRecite
from ragkit.testing import check_stage

PASSAGES = tuple(
    Passage(id=name, page_content=text)
    for name, text in [
        ("a", "Paris is large."),
        ("b", "Wheat is kept at 14 percent."),
        ("c", "Maize too: 14 percent."),
        ("d", "Oats are sown in spring."),
    ]
)


def recited(stage, answer, *names, context=PASSAGES):
    citations = tuple(Citation(name, name) for name in names)
    found = asyncio.run(stage.run("Q?", answer, citations, PASSAGES, context))
    return [citation.passage for citation in found]


@pytest.mark.parametrize(
    ("cited", "mended"),
    [
        (["c"], ["c"]),  # supported
        (["a", "c"], ["c"]),  # needless
        (["c", "b"], ["b"]),  # either would do: the worse ranked goes
        (["a"], ["b"]),  # wrong: the best ranked that will do
        ([], ["b"]),
        (["a", "d", "a", "c"], ["b"]),  # a fourth does not count
        (["elsewhere"], ["b"]),
    ],
)
def test_by_containment(cited, mended):
    assert recited(AnswerRecite(containment=True), "14 percent", *cited) == mended


def test_what_no_passage_supports_stays_as_it_is():
    assert recited(AnswerRecite(containment=True), "15 percent", "a", "d") == ["a", "d"]
    assert recited(AnswerRecite(containment=True), None) == []
    assert recited(AnswerRecite(containment=True), "14 percent", "a", context=()) == ["a"]


def test_only_what_was_in_the_prompt_is_cited():
    assert recited(AnswerRecite(containment=True), "14 percent", context=(PASSAGES[2], PASSAGES[0])) == ["c"]


def test_a_language_model_says_what_is_entailed_by_several_passages_together():
    needed = r"Paris is large\.\\nOats.*Statement: \"Q\? Paris\""
    model = ScriptedModel(rules=(Rule(matches=needed, reply="entailment"),), default="neutral")
    assert recited(AnswerRecite(model=model), "Paris", "b") == ["a", "d"]
    assert len(set(model.prompts)) == len(model.prompts) <= 4 + 6


def test_the_answer_is_never_touched():
    assert AnswerRecite.writes == ("citations",)


def test_the_stage_keeps_its_contract():
    check_stage(AnswerRecite(containment=True))


@pytest.mark.parametrize("settings", [{}, {"containment": True, "model": ScriptedModel()}])
def test_one_has_to_say_what_supports(settings):
    with pytest.raises(ValueError, match="name one of 'nli'"):
        AnswerRecite(**settings)
