"""The replies of REBEL's rankers: JSON, the lines of the paper, and what its own parser made of them."""

import json

import pytest

from ragkit.errors import ReplyError
from ragkit.models.json_replies import check_json
from ragkit.stages.multicriteria.criteria import CRITERIA_SCHEMA, Criterion, read_criteria
from ragkit.stages.multicriteria.replies import (
    Reading,
    Scores,
    read_lines,
    read_lines_as_published,
    read_scores,
    scores_schema,
)

DEPTH = Criterion(name="depth", definition="depth")


def found(reply, count=10):
    reading = read_lines(reply, count, 22.5)
    return [(number, scores.relevance) for number, scores in reading.scores.items()]


@pytest.mark.parametrize(
    ("reply", "ours", "published"),
    [
        ("Doc: 9, Relevance: 7", [(9, 7.0)], [(9, 7.0)]),
        ("Doc: 2, Relevance: 8.5", [(2, 8.5)], [(2, 8.0)]),
        ("Doc: 5, Relevance: -3", [(5, 0.0)], [(5, 3.0)]),
        ("Doc: 5, Relevance: 12.5/22.5", [(5, 12.5)], [(5, 12.0)]),
        ("Doc: 5, Relevance: 40", [(5, 22.5)], [(5, 40.0)]),
        ("Doc: 2, Relevance: 4\nDoc: 0, Relevance: 7", [(2, 4.0)], [(2, 4.0), (0, 7.0)]),
        ("Doc: 2, Relevance: 4\nDoc: -1, Relevance: 7", [(2, 4.0)], [(2, 4.0), (-1, 7.0)]),
        ("Doc: 2, Relevance: 4\nDoc: 11, Relevance: 7", [(2, 4.0)], [(2, 4.0)]),
        ("Doc: 2, Relevance: high\nDoc: 3, Relevance: 5", [(3, 5.0)], [(2, 5.0)]),
        ("Doc: 3, Relevance: 5\nDoc: 3, Relevance: 9", [(3, 5.0)], [(3, 5.0), (3, 9.0)]),
        ("Doc: 3, Relevance: 5, Reason: it says so", [(3, 5.0)], []),
        ("Doc 4, Relevance: 5", [(4, 5.0)], []),
        ("[4], Relevance: 5", [(4, 5.0)], []),
        ("Doc: [4], Relevance: 5", [(4, 5.0)], []),
        ("**Doc: 4**, Relevance: 5", [(4, 5.0)], []),
        ("**Doc: 4**, **Relevance: 5**", [(4, 5.0)], []),
        ("- Doc: 4, Relevance: 5", [(4, 5.0)], [(4, 5.0)]),
        ("1. Doc: 4, Relevance: 5", [(4, 5.0)], [(4, 5.0)]),
        ("```\nDoc: 4, Relevance: 5\n```", [(4, 5.0)], [(4, 5.0)]),
        ("```text\nDocument: 4, Relevance: 5\n```", [(4, 5.0)], [(4, 5.0)]),
        ("Doc: 1, Relevance: 5 Doc: 2, Relevance: 6", [(1, 5.0), (2, 6.0)], []),
        (
            "Here is the ranking:\nDoc: 4, Relevance: 5\r\nDoc: 1, Relevance: 3.5",
            [(4, 5.0), (1, 3.5)],
            [(4, 5.0), (1, 3.0)],
        ),
        ("", [], []),
        ("```\n```", [], []),
        ("None", [], []),
    ],
)
def test_lines(reply, ours, published):
    assert found(reply) == ours
    assert read_lines_as_published(reply, 10) == published


@pytest.mark.parametrize("reply", ["I cannot rank these.", "Doc: 0, Relevance: 3", "Doc: 2, Relevance: high"])
def test_lines_that_say_nothing_are_no_empty_answer(reply):
    with pytest.raises(ReplyError):
        found(reply)


def test_skipped_lines_are_counted():
    assert (
        read_lines("Ranking:\nDoc: 1, Relevance: 4\nDoc: 1, Relevance: 5\nDoc: 12, Relevance: 3", 10, 10).skipped == 3
    )


def entry(number, relevance=5, depth=3):
    return {"number": number, "relevance": relevance, "scores": {"depth": depth}}


def test_json_is_taken_entry_by_entry():
    rows = [
        entry(2, 8.5), entry(0), entry(11), entry(2, 1), entry("3"), entry(4, "high"), entry(1.5), entry(True),
        {"number": 5}, "6", entry(7, 99, -4), entry(8, 5, None), {"number": 9, "relevance": 4},
    ]  # fmt: skip
    reading = read_scores(json.dumps({"passages": rows}), 10, [DEPTH])
    expected = {2: (8.5, 3), 7: (10, 0), 8: (5, 0), 9: (4, 0)}
    scores = {number: Scores(relevance, {"depth": depth}) for number, (relevance, depth) in expected.items()}
    assert reading == Reading(scores, skipped=9)


@pytest.mark.parametrize("reply", ["", "no", "[]", "{}", '{"passages": {}}', '{"passages": [{"number": 12}]}'])
def test_json_that_says_nothing_is_no_empty_answer(reply):
    with pytest.raises(ReplyError):
        read_scores(reply, 10, [DEPTH])


def test_an_empty_list_is_an_answer():
    assert read_scores('{"passages": []}', 10, [DEPTH]) == Reading({})


def test_schemas_take_what_is_asked_for_and_nothing_else():
    schema = scores_schema(3, [DEPTH], reasoning=True)
    good = {"number": 3, "reason": "it tells", "relevance": 7.5, "scores": {"depth": 5}}
    check_json(json.dumps({"passages": [good]}), schema)
    for wrong in ({"number": 4}, {"relevance": 11}, {"scores": {"depth": 6}}, {"scores": {}}, {"final": 3}):
        with pytest.raises(ReplyError):
            check_json(json.dumps({"passages": [good | wrong]}), schema)
    assert list(good) == list(schema["properties"]["passages"]["items"]["properties"])  # the reason comes before scores
    criterion = {"name": "age", "definition": "how old", "high": "new", "low": "old", "weight": 0.3, "about": "date"}
    check_json(json.dumps({"criteria": [criterion]}), CRITERIA_SCHEMA)
    (read,) = read_criteria({"criteria": [criterion]})
    assert read.model_dump() == criterion
