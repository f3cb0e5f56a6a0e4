"""Lines of JSON, written fast."""

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


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): _with_text_keys(item) for key, item in value.items()}
    return [_with_text_keys(item) for item in value] if isinstance(value, (list, tuple)) else value
