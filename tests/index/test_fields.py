import pytest

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


def test_a_title_stands_there_once_and_a_deleted_passage_stays_empty():
    assert searched_text("Wheat rust is yellow.", METADATA) == "Wheat rust is yellow."
    assert searched_text("", METADATA) == ""
    assert searched_text("x", {"title": 7}) == "7\nx"
