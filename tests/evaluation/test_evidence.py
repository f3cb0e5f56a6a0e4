"""Gold evidence in the index."""

import pytest
from toy_stages import small_index

from ragkit.evaluation.evidence import Evidence, document_of, holds_answer


@pytest.fixture
def evidence(tmp_path):
    long = " ".join(f"Sentence number {n} is about soil." for n in range(60))
    rows = [{"id": "short", "text": "Wheat."}, {"id": "long", "text": long}, {"id": "long.c", "text": "Other."}]
    index = small_index(tmp_path, rows)
    index.prepare(lambda *_: None)
    with Evidence(index) as found:
        yield found


def test_documents_of_one_and_of_several_passages(evidence):
    found = evidence.find(["short", "long", "nowhere"])
    assert [p.id for p in found["short"]] == ["short"]
    pieces = [p.id for p in found["long"]]
    assert len(pieces) > 1
    assert pieces == [f"long.c{n}" for n in range(len(pieces))]
    assert found["nowhere"] == []


def test_single_passages(evidence):
    assert [p.id for p in evidence.find(["long.c1"])["long.c1"]] == ["long.c1"]
    assert evidence.find(["long.c99"])["long.c99"] == []


def test_documents_are_known_by_their_passages(evidence):
    assert evidence.has_document("short")
    assert evidence.has_document("long.c1")
    assert not evidence.has_document("nowhere")


def test_many_pieces_are_found_to_the_last(tmp_path):
    text = " ".join(f"Sentence number {n} is about soil." for n in range(700))
    index = small_index(tmp_path, [{"id": "long", "text": text}], chunking={"size": 20})
    index.prepare(lambda *_: None)
    with Evidence(index) as found:
        assert len(found.find(["long"])["long"]) == index.report.passages > 64


@pytest.mark.parametrize(
    ("gold", "document"),
    [("a.pdf#p3.c0", "a.pdf"), ("a.pdf#p3", "a.pdf"), ("a.c2", "a"), ("a", "a"), ("x#p1y", "x#p1y")],
)
def test_the_document_of_a_gold_id(gold, document):
    assert document_of(gold) == document


def test_answers_are_found_as_whole_words():
    assert holds_answer(["It was the U.S. Navy."], ["us navy"])
    assert not holds_answer(["It is known."], ["no"])
    assert not holds_answer(["anything"], ["the"])  # of which the normalisation leaves nothing
