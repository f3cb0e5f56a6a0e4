"""Filters in SQL against the same tests in plain Python, and their mistakes."""

import asyncio
import datetime
import json

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ragkit.documents import ChunkedDocument
from ragkit.engine.calls import Request
from ragkit.engine.state import Passage
from ragkit.errors import InputError
from ragkit.index import Filter
from ragkit.index.store import PassageStore
from ragkit.index.store_writer import StoreWriter

FIELDS = ["source", "document", "page", "größe", "a.b", "$x[0]", "semi;colon--"]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.5, 1.0, 2**63, -(2**70)]),
    st.sampled_from(["", "a", "ab", "B", "ä", "3", "true", "2024-05-01", "' OR 1=1 --", '"']),
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3))
METADATA = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=5)
FIELD = st.sampled_from(FIELDS)
BOUNDS = st.one_of(st.integers(-3, 3), st.sampled_from([0.5, "a", "2024-04-30", "3"]))
FILTERS = st.recursive(
    st.one_of(
        st.builds(lambda field, value: {"field": field, "equals": value}, FIELD, VALUES),
        st.builds(lambda field, value: {"field": field, "is_in": value}, FIELD, st.lists(VALUES, max_size=4)),
        st.builds(lambda field, value: {"field": field, "less_than": value}, FIELD, BOUNDS),
        st.builds(lambda field, value: {"field": field, "at_least": value}, FIELD, BOUNDS),
        st.builds(
            lambda field, value: {"field": field, "contains": value}, FIELD, SCALARS.filter(lambda v: v is not None)
        ),
        st.builds(lambda field, value: {"field": field, "is_empty": value}, FIELD, st.booleans()),
    ),
    lambda inner: st.one_of(
        st.builds(lambda test: {"negate": test}, inner),
        st.builds(lambda tests: {"all_of": tests}, st.lists(inner, max_size=3)),
        st.builds(lambda tests: {"any_of": tests}, st.lists(inner, max_size=3)),
    ),
    max_leaves=5,
)
_MISSING = object()


def same(value, wanted):
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, list) and isinstance(wanted, list):
        return len(value) == len(wanted) and all(map(same, value, wanted))
    numbers = isinstance(value, (int, float)) and isinstance(wanted, (int, float))
    return float(value) == float(wanted) if numbers else type(value) is type(wanted) and value == wanted


def compared(value, bound, test):
    if isinstance(bound, str):
        return isinstance(value, str) and test(value.encode(), bound.encode())
    if isinstance(value, list):
        return test(len(value), bound)
    return isinstance(value, (int, float)) and not isinstance(value, bool) and test(value, bound)


def holds(test, metadata):
    """Say what a filter says of metadata."""
    if "all_of" in test:
        return all(holds(inner, metadata) for inner in test["all_of"])
    if "any_of" in test:
        return any(holds(inner, metadata) for inner in test["any_of"])
    if "negate" in test:
        return not holds(test["negate"], metadata)
    field, (operator, wanted) = test["field"], next((k, v) for k, v in test.items() if k != "field")
    value = metadata.get(field, _MISSING)
    if operator == "is_empty":
        return (value is _MISSING or value in (None, "", [])) is wanted
    if value is _MISSING:
        return False
    if operator == "equals":
        return same(value, wanted)
    if operator == "is_in":
        return any(same(value, choice) for choice in wanted)
    if operator == "contains":
        if isinstance(value, list):
            return any(same(item, wanted) for item in value)
        return isinstance(value, str) and isinstance(wanted, str) and wanted in value
    return compared(value, wanted, (lambda a, b: a < b) if operator == "less_than" else (lambda a, b: a >= b))


def store_of(path, rows):
    with StoreWriter(path) as writer:
        for number, metadata in enumerate(rows):
            name = f"d{number}"
            writer.put("f", name, ChunkedDocument((Passage(id=name, page_content="x", metadata=metadata),)))
        writer.finish()
    return PassageStore(path)


def exact(value):
    """Lists that hold numbers are compared as JSON text, in which 1 and 1.0 differ."""
    items = value if isinstance(value, list) else []
    return not any(isinstance(item, (int, float)) and not isinstance(item, bool) for item in items)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(rows=st.lists(METADATA, min_size=1, max_size=6), test=FILTERS)
def test_sql_says_what_python_says(tmp_path_factory, rows, test):
    rows = [{key: value for key, value in row.items() if exact(value)} for row in rows]
    store = store_of(tmp_path_factory.mktemp("filter") / "x.sqlite", rows)
    expected = [holds(test, row) for row in rows]
    assert store.matching(Filter.model_validate(test)).tolist() == expected
    store.close()


def test_a_text_that_looks_like_an_empty_list_is_not_empty(tmp_path):
    store = store_of(tmp_path / "x", [{"x": "[]"}, {"x": []}, {"x": ""}, {"x": None}, {}])
    assert store.matching(Filter.model_validate({"field": "x", "is_empty": True})).tolist() == [False] + [True] * 4
    store.close()


def test_lists_of_numbers(tmp_path):
    store = store_of(tmp_path / "x", [{"x": [1, 2]}, {"x": [1]}, {"x": []}, {"x": 2}, {}])

    def matching(**test):
        return np.flatnonzero(store.matching(Filter(field="x", **test))).tolist()

    assert matching(equals=[1, 2]) == [0] and matching(contains=1) == [0, 1] and matching(contains=1.0) == [0, 1]
    assert matching(less_than=2) == [1, 2] and matching(at_least=2) == [0, 3]


def test_thousands_of_choices_and_passages_use_the_index(tmp_path):
    store = store_of(tmp_path / "x", [{"document": f"d{n}"} for n in range(5000)])
    chosen = Filter(field="document", is_in=[f"d{n}" for n in range(0, 5000, 2)])
    assert np.flatnonzero(store.matching(chosen)).tolist() == list(range(0, 5000, 2))
    text, values = Filter(field="document", equals="d7").sql()
    query = f"EXPLAIN QUERY PLAN SELECT position FROM passages WHERE {text}"
    plan = str(store._connection.execute(query, values).fetchall())
    assert "passage_document" in plan


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"field": "x", "equal": 3}, "where.equal: unknown key, did you mean 'equals'?"),
        ({"field": "x"}, "exactly one of equals, is_in"),
        ({"field": "x", "equals": 1, "less_than": 2}, "exactly one of"),
        ({"equals": 1}, "'equals' needs a 'field'"),
        ({"field": "x", "all_of": []}, "'all_of' does not take a 'field'"),
        ({"field": 'a"b', "equals": 1}, "quote or backslash"),
        ({"field": "", "equals": 1}, "where.field"),
        ({"any_of": [{"field": "x", "is_in": 3}]}, r"where.any_of.0.is_in: .*valid list"),
        ("source=x", "where: "),
        ({"field": "x", "equals": float("nan")}, "where.equals: .*not JSON"),
        ({"field": "x", "is_in": [object()]}, "where.is_in: .*never a object"),
    ],
)
def test_mistakes(data, message):
    with pytest.raises(InputError, match=message):
        Filter.parse(data, "where")


def test_dates_of_yaml_are_texts():
    data = yaml.safe_load("{all_of: [{field: date, at_least: 2024-01-31}, {field: date, is_in: [2024-02-01, x]}]}")
    assert isinstance(data["all_of"][0]["at_least"], datetime.date)
    found = Filter.parse(data, "where").data()
    assert found["all_of"][0]["at_least"] == "2024-01-31" and found["all_of"][1]["is_in"] == ["2024-02-01", "x"]
    with pytest.raises(ValidationError):
        Filter(field="date", less_than=[1])


ROWS = {f"r{n}": f"row number {n} on wheat {'silo ' * (n % 3)}" for n in range(40)}


@pytest.fixture
def dated(tmp_path, make):
    lines = [{"id": key, "text": text, "n": n, "group": "ab"[n % 2]} for n, (key, text) in enumerate(ROWS.items())]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    index = make()
    index.prepare(lambda *step: None)
    return index


@pytest.mark.parametrize(
    ("test", "found"),
    [
        ({"is_in": ["r3", "r7", "nowhere", 3]}, ["r3", "r7"]),
        ({"equals": "r12"}, ["r12"]),
        ({"equals": 12}, []),
        ({"contains": "r39"}, ["r39"]),
        ({"at_least": "r8"}, ["r8", "r9"]),
        ({"less_than": 5}, []),
        ({"is_empty": True}, []),
    ],
)
def test_a_passage_is_found_by_its_id(dated, test, found):
    where = Filter.parse({"field": "id"} | test, "where")
    assert dated.count(where) == len(found)
    assert dated.count(Filter(negate=where)) == len(ROWS) - len(found)
    hits = asyncio.run(dated.search("dense", "wheat", 50, where))
    assert sorted(passage.id for passage in hits) == found


def test_ids_are_looked_up_in_their_index(tmp_path):
    store = store_of(tmp_path / "x", [{} for _ in range(500)])
    text, values = Filter(field="id", is_in=["p3", "p5"]).sql()
    query = f"EXPLAIN QUERY PLAN SELECT position FROM passages WHERE {text}"
    assert "SEARCH passages" in str(store._connection.execute(query, values).fetchall())


@pytest.mark.parametrize("part", ["dense", "sparse", "hybrid"])
@pytest.mark.parametrize(
    "where",
    [
        {"field": "group", "equals": "a"},
        {"all_of": [{"field": "n", "at_least": 10}, {"field": "n", "less_than": 14}]},
        {"negate": {"field": "source", "equals": "rows"}},
        {"field": "nowhere", "equals": 1},
    ],
)
def test_every_search_keeps_to_the_filter(dated, part, where):
    condition = Filter.model_validate(where)

    async def search(k, where):
        if part == "hybrid":
            return await dated.search_hybrid("wheat silo number 11", k, depth=100, where=where)
        return await dated.search(part, "wheat silo number 11", k, where)

    everything = asyncio.run(search(100, None))
    allowed = [passage for passage in everything if holds(where, passage.metadata)]
    found = asyncio.run(search(100, condition))
    assert {passage.id for passage in found} == {passage.id for passage in allowed}
    if part != "hybrid":
        assert [(passage.id, passage.score) for passage in found] == [(p.id, p.score) for p in allowed]
    assert asyncio.run(search(3, condition)) == found[:3] or part == "hybrid"


def test_one_batch_with_several_filters(dated):
    dated.ensure_open()
    filters = [None, {"field": "group", "equals": "a"}, {"field": "group", "equals": "b"}, {"field": "n", "equals": 3}]
    requests = [
        Request("sparse", {"query": "wheat", "k": 5} | ({"where": where} if where else {}), "wheat")
        for where in filters * 3
    ]
    together = dated.execute("sparse", requests)
    assert together == [dated.execute("sparse", [request])[0] for request in requests]
    assert [name for name, _ in together[3].value] == ["r3"]


def test_filters_after_deletions(dated, tmp_path):
    lines = (tmp_path / "rows.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "rows.jsonl").write_text("".join(lines[5:]))
    dated.prepare(lambda *step: None)
    assert dated.report.holes == 5
    found = asyncio.run(dated.search("dense", "wheat", 100, Filter(field="group", equals="a")))
    assert {passage.id for passage in found} == {f"r{n}" for n in range(6, 40, 2)}
    assert len(asyncio.run(dated.search("dense", "wheat", 100))) == 35


def test_retriever(dated):
    retriever = dated.as_retriever("dense", k=50, where=Filter(field="n", less_than=2))
    assert {document.id for document in retriever.invoke("wheat")} == {"r0", "r1"}
