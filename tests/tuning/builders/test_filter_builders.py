"""Rows for the Knowledge Filter."""

from collections import Counter

import pytest
from erm4_sets import HOPS, NO_GOLD, ROWS, context_of, index_of

from ragkit.errors import InputError
from ragkit.models import EvidenceModel, ScriptedModel
from ragkit.stages import FilterKnowledge
from ragkit.tuning.builders import EvidenceRows, KnowledgeFilterRows

TEXTS = {row["id"]: row["text"] for row in ROWS}


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return index_of(tmp_path_factory.mktemp("rows"))


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def labelled(index, prompt="filter.knowledge.text", **settings):
    model = ScriptedModel()
    stage = FilterKnowledge(model=model, prompt=prompt)
    return stage, KnowledgeFilterRows(**settings).build("train", context_of(index, [stage], model))


def test_gold_passages_entail_and_others_of_the_question_are_neutral(index):
    stage, rows = labelled(index)
    # Of the second question nothing is found but its gold passage.
    assert Counter(row.origin["label"] for row in rows) == {"entailment": 3, "neutral": 2}
    assert {row.origin["passage"] for row in rows if row.origin["label"] == "entailment"} == {"film", "person", "tern"}
    assert len({(row.origin["question"], row.origin["passage"]) for row in rows}) == len(rows)
    assert {row.completion for row in rows} == {" entailment", " neutral"}
    for row in rows:
        assert TEXTS[row.origin["passage"]] in row.prompt
    film = next(row for row in rows if row.origin["passage"] == "film")
    (passage,) = index.passages(["film"]).values()
    assert film.prompt == stage.render(HOPS.question, passage)


def test_labels_of_chats_begin_without_a_blank_and_shares_can_be_set(index):
    _, rows = labelled(index, prompt="filter.knowledge", negatives=0.5)
    assert {row.completion for row in rows} == {"entailment", "neutral"}
    assert sum(row.completion == "neutral" for row in rows) == 1


def test_rows_are_the_same_every_time(index):
    assert labelled(index)[1] == labelled(index)[1]


def evidence(index, title=True, seed=0, **settings):
    model = EvidenceModel(model="unused")
    steps = [FilterKnowledge(nli=model, title=title)]
    return EvidenceRows(**settings).build("train", context_of(index, steps, model, seed=seed))


def test_evidence_rows_hold_found_and_given_passages(index):
    rows = evidence(index, k=5, untitled=0)
    assert [(row.origin["question"], row.origin["from"]) for row in rows] == [
        ("hops", "found"),
        ("hops", "given"),
        ("plain", "found"),
    ]
    given = rows[1]
    assert given.question == HOPS.question
    assert [title for title, _ in given.passages] == ["Amber Hours", "Salt Road", "Tern Lake", "Ines Vell"]
    assert given.evidence == (False, True, False, True)
    assert 1 <= len(rows[0].passages) <= 5 and any(rows[2].evidence)


def test_some_lists_have_no_titles(index):
    assert all(not title for row in evidence(index, untitled=1) for title, _ in row.passages)
    assert all(not title for row in evidence(index, title=False, untitled=0) for title, _ in row.passages)


def test_what_cannot_be_built_is_said(index):
    model = ScriptedModel()
    with pytest.raises(InputError, match=r"no filter.knowledge that asks the model 'own'"):
        KnowledgeFilterRows().build("train", context_of(index, [], model))
    stage = FilterKnowledge(model=model)
    with pytest.raises(InputError, match="no gold evidence"):
        KnowledgeFilterRows().build("train", context_of(index, [stage], model, questions=[NO_GOLD]))
