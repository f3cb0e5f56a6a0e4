"""From the text of a metric to the metric."""

import math
import re
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ragkit.engine.registry import metrics
from ragkit.errors import InputError, did_you_mean
from ragkit.evaluation.metrics.base import Metric
from ragkit.evaluation.metrics.native import parse_native
from ragkit.evaluation.metrics.ranking import PAGES

_WRITTEN = re.compile(r"([^(@]*)(?:\(([^()]*)\))?(?:@(.*))?", re.DOTALL)


def parse_metric(text: str) -> Metric:
    """Return the metric that is written as `name`, `name@cutoff` or `name(setting=value)`.

    A name that ir-measures knows (`nDCG@10`, `P(rel=2)@5`) is one of its measures; `pages.` before a ranking metric
    lets it look at pages.

    Raises:
        InputError: the name is unknown, a setting is unknown or has a wrong value, or the cutoff is missing, not
            wanted, or not a whole number from 1.
    """
    pages = text.startswith(PAGES)
    written = _WRITTEN.fullmatch(text.removeprefix(PAGES))
    name, settings, cutoff = written.groups() if written else (text, None, None)
    if name not in metrics:
        return parse_native(text)
    kind: type[Metric] = metrics[name]
    values = _settings(kind, settings, text)
    if pages:
        if "pages" not in {field.name for field in fields(kind)}:
            raise InputError(f"metric '{text}': {name} does not rank, write '{name}'")
        values["pages"] = True
    if kind.takes_cutoff:
        if cutoff is None or not re.fullmatch(r"[1-9][0-9]{0,5}", cutoff):
            raise InputError(f"metric '{text}': {name} needs a cutoff, a whole number from 1, e.g. '{name}@5'")
        values["cutoff"] = int(cutoff)
    elif cutoff is not None:
        raise InputError(f"metric '{text}': {name} takes no cutoff, write '{name}'")
    return kind(**values)


def _settings(kind: type[Metric], written: str | None, text: str) -> dict[str, Any]:
    """Return the settings between the brackets of a metric, as the types of its fields."""
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind) if field.name not in {"cutoff", "pages"}]
    values: dict[str, Any] = {}
    for item in written.split(",") if written is not None else ():
        key, equals, value = (part.strip() for part in item.partition("="))
        if not known or not equals or key not in known:
            choices = f"its settings are: {', '.join(known)}" if known else f"it takes no settings, write '{kind.name}'"
            raise InputError(f"metric '{text}': '{item.strip()}' is no setting{did_you_mean(key, known)} ({choices})")
        if get_origin(hints[key]) is Literal:
            if value not in get_args(hints[key]):
                raise InputError(f"metric '{text}': {key} is one of {', '.join(get_args(hints[key]))}, not '{value}'")
            values[key] = value
        else:
            values[key] = _number(value, key, text)
    return values


def _number(value: str, key: str, text: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise InputError(f"metric '{text}': {key} is a number from 0, not '{value}'")
    return number
