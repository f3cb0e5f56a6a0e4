"""Retrieval stages over a small index with several parts."""

import asyncio
import json

import pytest
from pydantic import ValidationError

from ragkit import Pipeline
from ragkit.engine.run import Asked
from ragkit.errors import InputError
from ragkit.index import DenseSettings, Filter, FusionSettings, LocalIndex, SparseSettings
from ragkit.models.scripted import HashEncoder
from ragkit.stages import (
    AnswerRead,
    ContextPack,
    ContextParents,
    RetrieveDense,
    RetrieveHybrid,
    RetrieveLearnedSparse,
    RetrieveSparse,
)

ROWS = [
    {"id": "a", "text": "Wheat is sown in autumn.", "year": 2020},
    {"id": "b", "text": "Wheat and maize need water.", "year": 2022},
    {"id": "c", "text": "A silo keeps grain dry.", "year": 2024},
]


@pytest.fixture
def index(tmp_path):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    made = LocalIndex(
        documents=("rows.jsonl",),
        base=tmp_path,
        path=tmp_path / "index",
        dense=DenseSettings(encoder=HashEncoder()),
        sparse=SparseSettings(),
    )
    made.prepare(lambda *step: None)
    return made


def ids(stage, *queries, **more):
    return [passage.id for passage in asyncio.run(stage.run(queries, **more))]


def test_the_filter_of_the_stage_and_of_the_question_hold_both(index):
    stage = RetrieveSparse(index=index, where=Filter(field="year", at_least=2021))
    assert ids(stage, "wheat silo") == ["c", "b"] or ids(stage, "wheat silo") == ["b", "c"]
    assert ids(stage, "wheat silo", where={"field": "year", "less_than": 2023}) == ["b"]
    assert ids(stage, "wheat silo", where={"field": "year", "equals": 1}) == []
    assert ids(RetrieveDense(index=index), "wheat", where={"field": "source", "contains": "ow"}) != []
    with pytest.raises(InputError, match=r"vars.where.equal: "):
        ids(stage, "wheat", where={"field": "year", "equal": 2023})


def test_hybrid_of_some_parts(index):
    only = RetrieveHybrid(index=index, parts=("sparse",))
    assert ids(only, "water") == ["b"]
    (found,) = asyncio.run(only.run(("water",)))
    assert [hit.stage for hit in found.hits] == ["sparse"]
    both = asyncio.run(RetrieveHybrid(index=index).run(("water",)))
    assert {hit.stage for hit in both[0].hits} == {"dense", "sparse"} and len(both) == 3


def test_several_queries_are_fused_and_filtered(index):
    assert set(ids(RetrieveSparse(index=index), "water", "silo")) == {"b", "c"}
    assert ids(RetrieveSparse(index=index), "water", "silo", where={"field": "year", "equals": 2024}) == ["c"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda index: RetrieveLearnedSparse(index=index), "no learned_sparse part: add 'learned_sparse' to 'index'"),
        (lambda index: RetrieveHybrid(index=index, parts=("dense", "words")), "no words part"),
        (lambda index: RetrieveHybrid(index=index, parts=()), "parts"),
        (lambda index: RetrieveSparse(index=index, where={"field": "x", "like": 3}), "like"),
        (lambda index: LocalIndex(documents=["x"], sparse={}, fusion={"weights": {"dense": 1}}), "names 'dense'"),
    ],
)
def test_mistakes_are_found_when_a_stage_is_made(index, make, message):
    with pytest.raises(ValidationError, match=message):
        make(index)


def test_weighted_sums(index):
    weighted = index.model_copy(update={"fusion": FusionSettings(method="weighted_sum", weights={"dense": 0.0})})
    weighted.close()
    found = asyncio.run(RetrieveHybrid(index=weighted, k=3).run(("wheat water",)))
    sparse = asyncio.run(RetrieveSparse(index=index, k=3).run(("wheat water",)))
    assert [passage.id for passage in found[:2]] == [passage.id for passage in sparse]
    assert found[0].score == 1.0 and found[-1].score == 0.0


def test_a_question_brings_its_own_filter(index, tmp_path):
    pipeline = Pipeline([RetrieveSparse(index=index)])
    asked = [
        Asked("1", "wheat", {"where": {"field": "year", "equals": 2020}}),
        Asked("2", "wheat", {"where": {"any_of": [{"field": "year", "equals": 2022}]}}),
        ("3", "wheat"),
    ]
    found = [[passage.id for passage in prediction.documents] for prediction in pipeline.predict(asked)]
    assert found[:2] == [["a"], ["b"]] and sorted(found[2]) == ["a", "b"]
    (bad,) = pipeline.predict([Asked("4", "wheat", {"where": {"field": "year"}})])
    assert "vars.where" in bad.error["message"]


def test_parents_take_the_place_of_their_passages(tmp_path):
    text = "\n\n".join(f"Wheat paragraph {n} {'about silos' if n == 4 else 'about rain'}." * 3 for n in range(6))
    (tmp_path / "book.txt").write_text(text)
    (tmp_path / "note.jsonl").write_text(json.dumps({"id": "note", "text": "silos"}) + "\n")
    index = LocalIndex(
        documents=("book.txt", "note.jsonl"),
        base=tmp_path,
        path=tmp_path / "index",
        sparse=SparseSettings(),
        chunking={"by": "tokens", "size": 30, "parent": {"by": "size", "size": 90}},
    )
    index.prepare(lambda *step: None)
    found = asyncio.run(RetrieveSparse(index=index).run(("silos wheat",)))
    read = asyncio.run(ContextParents(index=index).run(found))
    of = {passage.id: passage.metadata.get("parent", passage.id) for passage in found}
    assert [passage.id for passage in read] == list(dict.fromkeys(of.values())) and len(read) < len(found)
    for parent in read:
        children = [passage for passage in found if of[passage.id] == parent.id]
        assert all(child.page_content in parent.page_content for child in children)
        assert parent.score == children[0].score and len(parent.hits) == len(children)
    assert asyncio.run(ContextParents(index=index).run(())) == ()


def test_parents_keep_the_place_of_the_best_passage(index):
    from ragkit.engine.state import Passage
    from ragkit.stages.answer import cite

    class WithParents(LocalIndex):
        def parents(self, ids):
            return {
                "p": Passage(id="p", page_content="large", metadata={"source": "x.pdf", "page": 1, "box": [0, 0, 9, 9]})
            }

    children = tuple(
        Passage(id=f"c{n}", page_content="small", score=-n, metadata={"parent": "p", "page": n, "box": [n, n, n, n]})
        for n in (3, 2)
    )
    (read,) = asyncio.run(ContextParents(index=WithParents(**dict(index))).run(children))
    citation = cite(read)
    assert (citation.passage, citation.source, citation.page, citation.box) == ("p", "x.pdf", 3, (3, 3, 3, 3))


def test_in_a_pipeline(index):
    from ragkit.models.scripted import ScriptedModel

    model = ScriptedModel(default="autumn")
    steps = [
        RetrieveHybrid(index=index),
        ContextParents(index=index),
        ContextPack(model=model),
        AnswerRead(model=model),
    ]
    assert Pipeline(steps).ask("When is wheat sown?").answer == "autumn"
