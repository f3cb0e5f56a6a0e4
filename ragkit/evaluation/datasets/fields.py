"""Small helpers for reading the fields of published sets."""

import json
from typing import Any


def texts(value: Any) -> list[str]:
    """Return the texts of a value: of a list, of a list written as JSON, or the one text; numbers as texts."""
    if value is None:
        return []
    if isinstance(value, str) and value[:1] == "[":
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = None
        if isinstance(parsed, list):
            value = parsed
    if isinstance(value, (list, tuple)):
        return [str(item) for item in value if item is not None]
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    return [str(value)]
