"""What is wrong with a value, in words for the user: one sentence for each of pydantic's findings."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from ragkit.engine.calls import Category
from ragkit.errors import did_you_mean

NAMES: dict[Category, str] = {
    "model": "a language model",
    "encoder": "an encoder",
    "reranker": "a reranker",
    "nli": "an entailment model",
    "reward": "a reward model",
    "tool": "a tool",
    "index": "an index",
    "memory": "a memory",
}
"""What messages call the kinds of resources."""

_WANTED = {
    "bool": "must be true or false",
    "dict": "must be a mapping of keys to values",
    "finite_number": "must be a finite number",
    "float": "must be a number",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "int": "must be a whole number",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "list": "must be a list",
    "mapping": "must be a mapping of keys to values",
    "model": "must be a mapping of keys to values",
    "path": "must be a path",
    "string": "must be a text",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "string_too_short": "must not be empty",
    "too_short": "must hold at least {min_length}",
    "tuple": "must be a list",
}


def explain(kind: str, value: Any, context: Mapping[str, Any], fallback: str) -> str:
    """Return the sentence for a finding.

    Args:
        kind: pydantic's type of the finding, e.g. `greater_than_equal`.
        value: what was given.
        context: the finding's numbers and choices.
        fallback: pydantic's own sentence, for findings that have none here.
    """
    if kind == "value_error":
        return fallback.removeprefix("Value error, ")
    if kind == "literal_error":
        choices = str(context["expected"]).replace(" or ", ", ")
        hint = did_you_mean(value, choices.replace("'", "").split(", ")) if isinstance(value, str) else ""
        return f"unknown value {show(value)}{hint} (choose one of: {choices.replace(chr(39), '')})"
    wanted = _WANTED.get(kind) or _WANTED.get(kind.partition("_")[0])
    if wanted is None:
        return f"{fallback}, not {show(value)}"
    sentence = wanted.format(
        **{key: f"{number:g}" if isinstance(number, float) else number for key, number in context.items()}
    )
    if kind in {"string_too_short", "too_short"}:
        return sentence
    return f"{sentence}, not {show(value)}{_remedy(kind, value)}"


def _remedy(kind: str, value: Any) -> str:
    """Return what to write instead, where that is clear."""
    if kind == "tuple_type" and isinstance(value, str):
        return f"; put it in brackets: [{show(value)}]"
    if kind == "string_type" and isinstance(value, (bool, int, float)):
        return "; put it in quotes"  # YAML reads yes, on and 12 as something else than text
    return ""


def show(value: Any) -> str:
    """Return a value as a message shows it: as YAML spells it and short, mappings and lists by their kind."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, date) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
