import asyncio
import json

import pytest

from ragkit.errors import InputError
from ragkit.index import LocalIndex, SparseSettings
from ragkit.index.fields import searched_text

METADATA = {"title": "Wheat rust", "section": ["Diseases", "Fungi"]}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (("title", "text"), "Wheat rust\nIt is yellow."),
        (("text",), "It is yellow."),
        (("title", "section", "text"), "Wheat rust\nDiseases\nFungi\nIt is yellow."),
        (("text", "title"), "It is yellow.\nWheat rust"),
    ],
)
def test_fields_stand_in_their_order(fields, expected):
    assert searched_text("It is yellow.", METADATA, fields) == expected


@pytest.mark.parametrize("metadata", [{}, {"title": None}, {"title": ""}, {"section": []}])
def test_what_is_not_there_is_left_out(metadata):
    assert searched_text("It is yellow.", metadata, ("title", "section", "text")) == "It is yellow."


def test_a_deleted_passage_stays_empty():
    assert searched_text("", METADATA) == ""
    assert searched_text("x", {"title": 7}) == "7\nx"


@pytest.mark.parametrize(("fields", "found"), [(("title", "text"), ["a"]), (("text",), [])])
def test_an_index_searches_its_fields_and_shows_the_text(tmp_path, fields, found):
    rows = [{"id": "a", "title": "Wheat rust", "text": "It is yellow."}, {"id": "b", "text": "Maize."}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    index = LocalIndex(
        documents=("rows.jsonl",), base=tmp_path, path=tmp_path / "x", sparse=SparseSettings(fields=fields)
    )
    index.prepare(lambda *step: None)
    ranking = asyncio.run(index.search("sparse", "wheat", 5))
    assert [passage.id for passage in ranking] == found
    assert all(passage.page_content == "It is yellow." for passage in ranking)


def test_other_fields_are_another_index(ready, make):
    other = make(sparse=SparseSettings(fields=("text",)))
    with pytest.raises(InputError, match=r"index.sparse.fields: the index has \['title', 'text'\]"):
        other.fingerprint()
