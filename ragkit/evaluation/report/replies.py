"""What models and indexes answered, in words.

Answers of third parties' resources may have any form, so it is the form that is looked at, not the operation's name.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any


def as_text(value: Any) -> str:
    """Return a value of a trace as a reader's text."""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence) and value and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def reply_of(call: Mapping[str, Any]) -> str:
    """Return a call's answer in words."""
    value = call["value"]
    if value is None:
        return ""
    if isinstance(value, Mapping) and "text" in value:
        return as_text(value["text"])
    if isinstance(value, Mapping) and "label" in value:
        return _chosen(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list) and value and _is_hit(value[0]):
        return f"{len(value)} passages, the best one {value[0][0]} ({value[0][1]:.4g})"
    return as_text(value)


def _is_hit(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], float)


def _chosen(value: Mapping[str, Any]) -> str:
    """Return the outcome of a choice between fixed texts, with its probability where the model told it."""
    label = as_text(value["label"]).strip()
    logprobs = value.get("logprobs")
    known = logprobs.get(value["label"]) if isinstance(logprobs, Mapping) else None
    return f"{label} ({math.exp(known):.0%})" if isinstance(known, float) else label
