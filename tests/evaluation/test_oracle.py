"""Stages replaced by gold."""

import pytest
from toy_stages import ROWS, AnswerLastWord, ContextFirst, FilterWithout, RerankLongest, small_index

from ragkit import Pipeline
from ragkit.engine.controls import Loop
from ragkit.engine.state import State
from ragkit.errors import InputError
from ragkit.evaluation.oracle import with_oracle
from ragkit.evaluation.questions import Question
from ragkit.models import ScriptedModel
from ragkit.stages import AnswerClosedBook, RetrieveSparse

MAIZE = Question("m", "How is wheat kept?", ("fifteen",), ("maize",))


@pytest.fixture
def index(tmp_path):
    found = small_index(tmp_path)
    found.prepare(lambda *_: None)
    return found


def ask(pipeline, names, *questions):
    pipeline.settings = pipeline.settings.model_copy(update={"cache": False})
    swapped = with_oracle(pipeline, names, questions)
    return swapped, swapped.pipeline.predict([(q.id, q.question) for q in questions])


def ids(prediction):
    return [passage.id for passage in prediction.documents]


def test_retrieval_of_gold(index):
    pipeline = Pipeline([RetrieveSparse(index=index, k=2), AnswerLastWord()])
    (plain,) = pipeline.predict([("m", MAIZE.question)])
    assert "maize" not in ids(plain)
    swapped, (perfect,) = ask(pipeline, ["retrieve"], MAIZE)
    assert ids(perfect) == ["maize"]
    assert perfect.answer == "fifteen"
    assert swapped.steps == ("retrieve.sparse",)
    assert perfect.usage.searches == 0


def test_the_plain_pipeline_is_left_as_it_is(index):
    pipeline = Pipeline([RetrieveSparse(index=index, k=2), AnswerLastWord()])
    before = pipeline.nodes
    with_oracle(pipeline, ["retrieve", "read"], [MAIZE])
    (plain,) = pipeline.predict([("m", MAIZE.question)])
    assert "maize" not in ids(plain)
    assert pipeline.nodes is before


def test_gold_never_enters_the_state(index, monkeypatch):
    seen = []
    original = State.set
    monkeypatch.setattr(State, "set", lambda self, name, value: (seen.append(name), original(self, name, value))[1])
    pipeline = Pipeline([RetrieveSparse(index=index, k=2), AnswerLastWord()])
    _, (perfect,) = ask(pipeline, ["retrieve", "read"], MAIZE)
    assert set(seen) == {"documents", "answer", "citations"}
    assert perfect.vars == {}


def test_at_most_k_passages_from_each_unit_in_turn(tmp_path):
    long = " ".join(f"Sentence number {n} is about soil." for n in range(90))
    rows = [{"id": "long", "text": long + " The answer is loam."}, {"id": "other", "text": "Sand drains."}]
    index = small_index(tmp_path, rows)
    index.prepare(lambda *_: None)
    asked = Question("q", "What is it?", ("loam",), ("long", "other"))
    _, (perfect,) = ask(Pipeline([RetrieveSparse(index=index, k=2)]), ["retrieve"], asked)
    first, second = perfect.documents
    assert "loam" in first.page_content
    assert second.id == "other"


def test_missing_gold_is_counted_and_retrieved_for_as_always(index):
    lost = Question("l", "How is wheat kept?", ("dry",), ("barley",))
    unknown = Question("u", "How is wheat kept?", ("dry",))
    pipeline = Pipeline([RetrieveSparse(index=index, k=1)])
    swapped, predictions = ask(pipeline, ["retrieve"], MAIZE, lost, unknown)
    assert swapped.missing == ("barley",)
    assert swapped.untouched == 2
    assert ids(predictions[0]) == ["maize"]
    assert ids(predictions[1]) == ids(predictions[2]) == ["wheat"]


def test_a_perfect_filter_keeps_gold_of_what_it_is_given(index):
    asked = Question("q", "wheat, maize, rye or oats?", ("dry",), ("rye", "oats"))
    pipeline = Pipeline([RetrieveSparse(index=index, k=3), FilterWithout(word="wheat")])
    (plain,) = pipeline.predict([("q", asked.question)])
    given = {e.stage: e.wrote["documents"] for e in plain.trace.events}["retrieve.sparse"]
    _, (perfect,) = ask(pipeline, ["filter"], asked)
    assert ids(perfect) == [p.id for p in given if p.id in ("rye", "oats")]
    assert ids(perfect)


def test_a_perfect_reranker_puts_gold_first_and_keeps_as_many(index):
    asked = Question("q", "wheat maize rye oats", ("fifteen",), ("maize",))
    pipeline = Pipeline([RetrieveSparse(index=index, k=4), RerankLongest(k=2)])
    (plain,) = pipeline.predict([("q", asked.question)])
    assert ids(plain) == ["rye", "oats"]
    _, (perfect,) = ask(pipeline, ["rerank.toy_longest"], asked)
    assert ids(perfect) == ["maize", "rye"]


def test_a_perfect_packer_sees_gold_first(index):
    asked = Question("q", "wheat maize rye oats", ("dry",), ("rye",))
    pipeline = Pipeline([RetrieveSparse(index=index, k=4), ContextFirst(n=1), AnswerLastWord()])
    _, (perfect,) = ask(pipeline, ["context"], asked)
    assert [p.id for p in perfect.context] == ["rye"]
    assert perfect.answer == "dry"


def test_a_perfect_reader_says_what_its_passages_hold(index):
    told = Question("t", "maize fifteen", ("fifteen",), ("maize",))
    by_words = Question("w", "maize", ("apart",))
    not_told = Question("n", "rye autumn", ("fifteen",), ("maize",))
    unanswerable = Question("u", "maize", answerable=False)
    pipeline = Pipeline([RetrieveSparse(index=index, k=2), AnswerLastWord()])
    _, predictions = ask(pipeline, ["read"], told, by_words, not_told, unanswerable)
    assert [p.answer for p in predictions] == ["fifteen", "apart", "dry", None]
    assert [[c.passage for c in p.citations] for p in predictions] == [["maize"], ["oats"], ["rye"], []]


def test_inside_loops_and_by_step_id(index):
    pipeline = Pipeline([Loop(do=(RetrieveSparse(index=index, k=2),), max=2), AnswerLastWord()])
    swapped, (perfect,) = ask(pipeline, ["retrieve.sparse"], MAIZE)
    assert [event.stage for event in perfect.trace.events][:2] == ["loop[1]/retrieve.sparse", "loop[2]/retrieve.sparse"]
    assert ids(perfect) == ["maize"]
    assert swapped.steps == ("retrieve.sparse",)


def test_the_same_answers_as_without_for_questions_of_no_gold(index):
    asked = [Question(row["id"], row["text"]) for row in ROWS]
    pipeline = Pipeline([RetrieveSparse(index=index, k=2), FilterWithout(word="Rye"), AnswerLastWord()])
    plain = pipeline.predict([(q.id, q.question) for q in asked])
    _, perfect = ask(pipeline, ["retrieve", "filter", "read"], *asked)
    assert [p.to_row() for p in perfect] == [p.to_row() for p in plain]


def test_a_reader_of_nothing_cannot_be_perfect():
    pipeline = Pipeline([AnswerClosedBook(model=ScriptedModel(default="dry"))])
    with pytest.raises(InputError, match="reads no passages"):
        with_oracle(pipeline, ["read"], [MAIZE])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("retreive", "no step of the pipeline is called so, did you mean 'retrieve'"),
        ("rerank", "no step of the pipeline is called so"),
    ],
)
def test_a_name_that_fits_no_step(index, name, message):
    pipeline = Pipeline([RetrieveSparse(index=index, k=2), AnswerLastWord()])
    with pytest.raises(InputError, match=message):
        with_oracle(pipeline, [name], [MAIZE])
