"""Filters on the command line: `source=soil.pdf`, `year>=2020`, or the YAML of a filter."""

import re
from typing import TYPE_CHECKING, Any

import yaml

from ragkit.errors import InputError

if TYPE_CHECKING:
    from ragkit.index.filters import Filter

WHERE_HELP = "Only passages like this: FIELD=VALUE, FIELD<VALUE, FIELD>=VALUE, or a filter as in YAML. All must hold."
_TEST = re.compile(r"([^=<>{}]+?)\s*(>=|=|<)\s*(.*)", re.DOTALL)
_OPERATORS = {"=": "equals", "<": "less_than", ">=": "at_least"}


def parse_where(texts: list[str]) -> "Filter | None":
    """Return the filter that all texts make together; None for no texts.

    Raises:
        InputError: a text is no filter.
    """
    from ragkit.index.filters import Filter

    found = [Filter.parse(_data(text), "--where") for text in texts]
    return None if not found else found[0] if len(found) == 1 else Filter(all_of=tuple(found))


def _data(text: str) -> Any:
    if text.lstrip().startswith("{"):
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            raise InputError(f"--where {text}: not valid YAML") from None
    match = _TEST.fullmatch(text)
    if match is None:
        raise InputError(
            f"--where {text}: write FIELD=VALUE, FIELD<VALUE, FIELD>=VALUE, or {{field: ..., equals: ...}}"
        )
    name, sign, value = match.groups()
    return {"field": name, _OPERATORS[sign]: _scalar(value)}


def _scalar(text: str) -> Any:
    """Return a number or truth value as YAML reads it, anything else as text."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return value if isinstance(value, (bool, int, float)) else text
