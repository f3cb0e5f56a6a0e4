import json
from typing import Any

import pytest

from ragkit.engine.jsonl import dump_line, load_line
from ragkit.engine.state import Hit
from ragkit.engine.trace import to_jsonable


@pytest.mark.parametrize(
    "row",
    [
        {"text": "Größe ≥ 3 µm 水", "score": 0.1, "pages": [1, 2], "none": None},
        {"text": "half a pair \ud83d"},
        {"large": 2**70},
        {"beside": 'a "key": of a text', "large": 2**70, "pair": "\ud83d"},
        {"line": "one\ntwo\u2028three"},
        {},
    ],
)
def test_a_line_reads_back_and_is_written_the_same_again(row: dict[str, Any]) -> None:
    line = dump_line(row)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert json.loads(line) == row
    assert load_line(line) == row
    assert dump_line(load_line(line)) == line


def test_named_tuples_are_lists() -> None:
    assert json.loads(dump_line({"hits": (Hit("dense", "q", 1, 0.5),)}, to_jsonable)) == {
        "hits": [["dense", "q", 1, 0.5]]
    }


def test_a_number_that_is_none_does_not_break_the_file() -> None:
    assert json.loads(dump_line({"x": float("nan")})) == {"x": None}


@pytest.mark.parametrize("line", [b'{"id":"1","cut', b"", b"\xff", b'{"id":"\xff"}'])
def test_a_damaged_line_is_an_error(line: bytes) -> None:
    with pytest.raises(ValueError):
        load_line(line)
