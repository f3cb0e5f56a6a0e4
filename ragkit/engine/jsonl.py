"""Lines of JSON, written and read fast."""

import json
from collections.abc import Callable
from typing import Any


def dump_line(row: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    """Return a row as one line of UTF-8 JSON, the same bytes for the same row.

    `default` turns values that JSON does not know into ones that it knows.
    """
    import orjson

    try:
        return orjson.dumps(row, default=default, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError:  # half a surrogate pair in a model's text, an integer of more than 64 bits, a key
        return json.dumps(_with_text_keys(row), default=default).encode() + b"\n"


def load_line(line: bytes) -> Any:
    """Return the row of a line, as `dump_line` or another writer wrote it.

    Raises:
        ValueError: it is no JSON.
    """
    import orjson

    # A blank after the first key: written by `json`, because of what orjson would refuse, or round, in reading too.
    return json.loads(line) if line.partition(b'":')[2][:1].isspace() else orjson.loads(line)


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): _with_text_keys(item) for key, item in value.items()}
    return [_with_text_keys(item) for item in value] if isinstance(value, (list, tuple)) else value
