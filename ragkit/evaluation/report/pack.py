"""Data inside an HTML file: compressed blocks of text that no content can break out of.

A block is JSON, gzipped, in base64: of all that a run's texts hold, nothing but letters, digits, `+`, `/` and `=`
reaches the HTML. The page unpacks a block when it is needed.
"""

import base64
import gzip
import json
from collections.abc import Iterable, Sequence
from typing import Any

from ragkit.engine.jsonl import dump_line

LEVEL = 6


def dump(value: Any) -> bytes:
    """Return JSON that a browser reads: NaN and infinity, which JSON does not have, become null.

    Lone surrogates, which UTF-8 does not have, stay as their escapes.
    """
    data = dump_line(value)
    if b"NaN" in data or b"Infinity" in data:  # orjson, the usual writer, makes them null, `json` does not
        data = json.dumps(json.loads(data, parse_constant=lambda _: None)).encode()
    return data.rstrip(b"\n")


def block(data: bytes) -> str:
    """Return JSON as the content of a block; the same bytes give the same block."""
    return base64.b64encode(gzip.compress(data, LEVEL, mtime=0)).decode("ascii")


def blocks(items: Iterable[bytes], size: int) -> Iterable[str]:
    """Yield blocks of `size` JSON values each, as lists."""
    group: list[bytes] = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield block(_list(group))
            group = []
    if group:
        yield block(_list(group))


def _list(items: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(items) + b"]"
