"""Rows for Query Rewriter+."""

import pytest
from erm4_sets import HOPS, NO_GOLD, PLAIN, context_of, index_of

from ragkit.engine.state import Passage
from ragkit.errors import InputError
from ragkit.evaluation.questions import Question
from ragkit.models import ScriptedModel
from ragkit.stages import RewritePlus
from ragkit.stages.rewritten import read_rewritten
from ragkit.tuning.builders import RewriterRows
from ragkit.tuning.builders.query_candidates import candidates_of, questions_of


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return index_of(tmp_path_factory.mktemp("rows"))


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def rows_of(index, passages=2, questions=(HOPS, PLAIN, NO_GOLD), **settings):
    model = ScriptedModel()
    stage = RewritePlus(model=model, form="text", passages=passages, keep_question=True, **settings)
    return RewriterRows(k=2).build("train", context_of(index, [stage], model, questions=questions))


def test_the_queries_are_those_that_find_the_evidence(index):
    hops, plain = rows_of(index)
    written = read_rewritten(hops.completion)
    assert "Ines Vell" in written.queries
    assert hops.origin["value"] > hops.origin["alone"]
    assert written.questions == ("Who is the director of Salt Road?", HOPS.question)
    assert hops.completion.startswith("\nRewritten Question:\n") and "Salt Road is a film directed" in hops.prompt
    assert read_rewritten(plain.completion).questions == (PLAIN.question,)


def test_without_passages_nothing_is_asked_that_the_question_does_not_say(index):
    hops, _ = rows_of(index, passages=0)
    assert hops.prompt == f"Original Question: {HOPS.question}"
    assert "Vell" not in hops.completion


def test_queries_are_no_more_than_the_stage_allows(index):
    for row in rows_of(index, max_queries=2):
        assert len(read_rewritten(row.completion).queries) == 1  # the question is the other one


def test_rows_are_the_same_every_time(index):
    assert rows_of(index) == rows_of(index)


def test_what_cannot_be_built_is_said(index):
    model = ScriptedModel()
    with pytest.raises(InputError, match="'form: text' that asks the model 'own'"):
        RewriterRows().build("train", context_of(index, [RewritePlus(model=model)], model))
    with pytest.raises(InputError, match="no gold evidence"):
        rows_of(index, questions=[NO_GOLD])


def question(text, **extra):
    return Question(id="q", question=text, extra=extra)


def test_candidates_of_a_comparison():
    found = candidates_of(
        question(
            "Which film has the older director, Salt Road or Amber Hours (1934 Film)?",
            evidence_triples=[["Salt Road", "director", "Ines Vell"], ["Ines Vell", "date of birth", "1900"]],
        ),
        ["Salt Road", "Amber Hours (1934 film)", "Ines Vell"],
    )
    assert found[:2] == ("Salt Road", "Amber Hours (1934 film)")
    assert "Salt Road director" in found and not any("Vell" in text for text in found)


def test_titles_that_a_shown_passage_names_are_candidates():
    shown = [Passage(id="1", page_content="It was directed by Ines Vell.")]
    assert "Ines Vell" in candidates_of(question("Where was its director born?"), ["Ines Vell", "Osier"], tuple(shown))
    assert "Osier" not in candidates_of(question("Where was its director born?"), ["Ines Vell", "Osier"], tuple(shown))


def test_steps_refer_to_what_earlier_ones_ask():
    asked = question(
        "Where was the director of Salt Road born?",
        decomposition=[
            {"question": "Salt Road >> director", "answer": "Ines Vell"},
            {"question": "#1 >> place of birth", "answer": "Osier"},
            {"question": "Is #9 a town?", "answer": "yes"},
        ],
    )
    found = candidates_of(asked, [])
    assert {"Salt Road director", "Salt Road director place of birth"} <= set(found)
    assert questions_of(asked)[-1] == asked.question
    assert not any("Vell" in text for text in (*found, *questions_of(asked)))


def test_odd_fields_of_a_row_do_no_harm():
    for extra in ({"decomposition": "x", "evidence_triples": 3}, {"decomposition": ["x"], "evidence_triples": [["a"]]}):
        assert questions_of(question("who?", **extra)) == ("who?",)
        assert candidates_of(question("who is it?", **extra), [""])
