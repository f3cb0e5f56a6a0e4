"""How replies are read: each fault has its rung, and nothing that a model writes is an error."""

import pytest

from ragkit.stages.agents.actions import Action, Offer, Read, read, write

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"]}
OFFERS = [Offer("search", "s"), Offer("add", "adds", SCHEMA), Offer("finish", "f")]
SEARCH, FINISH = Action("", "search", "tin ore"), Action("", "finish")


def fields(name, arguments, thought="why"):
    return (
        f"[[ ## next_thought ## ]]\n{thought}\n\n[[ ## next_tool_name ## ]]\n{name}\n\n"
        f"[[ ## next_tool_args ## ]]\n{arguments}\n\n[[ ## completed ## ]]"
    )


@pytest.mark.parametrize(
    ("reply", "action", "rungs"),
    [
        ("Thought: why\nAction: search\nQuery: tin ore", Action("why", "search", "tin ore"), ()),
        ("Action: finish", FINISH, ()),
        ("Answerable: yes\nAction: search\nQuery: tin ore", Action("", "search", "tin ore", True), ()),
        (fields("AdvancedSearch", '{"search_query": "tin ore"}'), Action("why", "search", "tin ore"), ()),
        (fields("finish", "{}"), Action("why", "finish"), ()),
        (fields("finish", ""), Action("why", "finish"), ()),
        ("[[ ## next_tool_name ## ]] finish\n[[ ## next_thought ## ]] here", Action("here", "finish"), ()),
        ("```\nAction: search\nQuery: tin ore\n```", SEARCH, ("fence",)),
        ('```json\n{"action": "search", "query": "tin ore"}\n```', SEARCH, ("fence", "json")),
        ("{'tool_name': 'search', 'tool_args': {'search_query': 'tin ore'}}", SEARCH, ("json", "json")),
        (fields("AdvancedSearch", "{'search_query': 'tin ore'}"), Action("why", "search", "tin ore"), ("json",)),
        ('{"name": "search", "args": {"query": "tin ore", "trajectory_id": 3}}', SEARCH, ("json",)),
        ("Action: finish\nQuery: all of it", FINISH, ("junk",)),
        ("search[tin ore]", SEARCH, ("inline",)),
        ("Action: search(tin ore)", SEARCH, ("inline",)),
        ("Action: Look up\nQuery: tin ore", SEARCH, ("alias",)),
        ("Action: answer: tin", FINISH, ("alias",)),
        ("Action: browse\nQuery: tin ore", SEARCH, ("unknown_tool",)),
        ("tin ore", SEARCH, ("bare",)),
        ("finish", FINISH, ("bare",)),
        ("Action: search\nQuery: tin ore\nAction: finish\nQuery: more", SEARCH, ()),
        ("Action: search\nInput: tin ore", SEARCH, ()),
        ('Action: add\nQuery: {"a": 1, "b": 2}', Action("", "add", '{"a": 1, "b": 2}'), ()),
        ("", None, ()),
        ("Action: search", None, ()),
        ("Action: browse", None, ()),
        ("Action:", None, ()),
        ("One line of prose.\nAnd another one.", None, ()),
        ("```\n```", None, ("fence",)),
    ],
)
def test_the_ladder(reply, action, rungs):
    assert read(reply, OFFERS) == Read(action, rungs)


def test_where_finish_is_not_on_offer_it_is_no_action():
    offers = OFFERS[:1]
    for reply in ("Action: finish", fields("finish", "{}"), "finish[]"):
        assert read(reply, offers).action is None


@pytest.mark.parametrize("form", ["compact", "fields"])
@pytest.mark.parametrize("action", [Action("why", "search", "tin ore"), Action("done", "finish")])
def test_what_is_written_is_read(form, action):
    assert read(write(action, form), OFFERS) == Read(action, ())


def test_no_query_can_begin_a_line():
    assert write(Action("a\nAction: x", "search", "b\nAction: finish"), "compact").count("\nAction:") == 1
