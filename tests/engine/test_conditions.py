from typing import Any

import pytest
from pydantic import ValidationError

from ragkit.engine.conditions import Condition
from ragkit.engine.state import Passage, State

STATE = State(
    "q1",
    "who?",
    documents=(Passage(id="a", page_content="x"), Passage(id="b", page_content="y")),
    answer="",
    vars={"hops": 2, "route": "multi", "flags": ("late",), "external": True},
)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"field": "vars.hops", "equals": 2}, True),
        ({"field": "vars.hops", "equals": "2"}, False),
        ({"field": "vars.external", "equals": True}, True),
        ({"field": "vars.unknown", "equals": None}, True),
        ({"field": "vars.route", "is_in": ["single", "multi"]}, True),
        ({"field": "vars.hops", "less_than": 2}, False),
        ({"field": "vars.hops", "at_least": 2}, True),
        ({"field": "documents", "at_least": 3}, False),
        ({"field": "documents", "less_than": 3}, True),
        ({"field": "answer", "is_empty": True}, True),
        ({"field": "documents", "is_empty": False}, True),
        ({"field": "vars.unknown", "is_empty": True}, True),
        ({"field": "question", "contains": "who"}, True),
        ({"field": "vars.flags", "contains": "late"}, True),
        ({"field": "vars.unknown", "contains": "late"}, False),
        ({"negate": {"field": "answer", "is_empty": True}}, False),
        ({"all_of": [{"field": "vars.hops", "at_least": 1}, {"field": "answer", "is_empty": True}]}, True),
        ({"any_of": [{"field": "vars.hops", "at_least": 9}, {"field": "answer", "is_empty": True}]}, True),
    ],
)
def test_holds(condition: dict[str, Any], holds: bool) -> None:
    assert Condition.model_validate(condition).holds(STATE) is holds


@pytest.mark.parametrize(
    "condition",
    [
        {},
        {"field": "answer"},
        {"equals": 3},
        {"field": "answer", "equals": 1, "is_empty": True},
        {"field": "answer", "negate": {"field": "answer", "equals": 1}},
        {"field": "answer", "matches": "x"},
    ],
)
def test_malformed_conditions_are_refused(condition: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Condition.model_validate(condition)


def test_comparing_a_text_with_a_number_is_an_error() -> None:
    with pytest.raises(TypeError, match=r"'question' is 'who\?', which is neither a number nor a list"):
        Condition(field="question", less_than=3).holds(STATE)


def test_reads_names_every_field() -> None:
    condition = Condition.model_validate(
        {"any_of": [{"field": "vars.hops", "at_least": 9}, {"negate": {"field": "answer", "is_empty": True}}]}
    )
    assert condition.reads == ("vars.hops", "answer")
