"""Criteria as data: what a passage is judged by besides relevance, given in a pipeline or inferred from the query."""

import math
import re
from typing import Any, Literal, NamedTuple, get_args

from pydantic import Field

from ragkit.engine.component import Component

Subject = Literal["text", "date", "source"]

MOST = 5
"""Criteria of one query; what a model names beyond them is left out."""

WEIGHT = 0.5
"""Of a criterion whose weight nobody gave."""

_NAME, _DEFINITION, _ANCHOR = 40, 160, 100
_FILLER = {
    "a",
    "and",
    "content",
    "document",
    "for",
    "in",
    "of",
    "on",
    "overall",
    "passage",
    "query",
    "question",
    "text",
}
_FILLER |= {"the", "to", "topic", "topical"}


class Criterion(Component):
    """A desirable property of passages, scored from 0 to 5."""

    name: str = Field(min_length=1, max_length=60, description="short and unique")
    definition: str = Field(min_length=1, description="what is looked at")
    high: str = Field("", description="what a passage is like that scores 5")
    low: str = Field("", description="what a passage is like that scores 0")
    weight: float = Field(WEIGHT, ge=0, le=1, description="how much one point adds to the final score")
    about: Subject = Field("text", description="'date' and 'source' can be scored from metadata, see the stage")


RELEVANCE = Criterion(
    name="relevance",
    definition="how far the passage helps to answer the query",
    high="it answers the query fully and directly",
    low="it has nothing to do with the query",
    weight=1.0,
)

FIXED = (
    Criterion(
        name="depth",
        definition="how thoroughly the passage treats the subject",
        high="several sides of it, with particulars and reasons",
        low="a passing mention",
    ),
    Criterion(
        name="diversity",
        definition="how many viewpoints, cases or sources the passage takes in",
        high="different positions or sources, fairly told",
        low="a single side",
    ),
    Criterion(
        name="clarity",
        definition="how specific and unambiguous the passage is",
        high="exact terms, quantities and conditions",
        low="vague or confusing",
    ),
    Criterion(
        name="authority",
        definition="how far its source can be relied on",
        high="an official standard or widely cited work",
        low="an unknown or anonymous source",
        about="source",
    ),
    Criterion(
        name="recency",
        definition="how current the passage is",
        high="the latest studies or data",
        low="outdated, or without any date",
        about="date",
    ),
)
"""The five criteria of one-turn REBEL."""


class Rubric(NamedTuple):
    """What the passages of one query are scored by.

    Attributes:
        inferred: from the query; or else fixed.
        left_out: criteria of the reply that could not be used, or were too many.
    """

    relevance: Criterion
    criteria: tuple[Criterion, ...]
    inferred: bool = False
    left_out: int = 0


def _short(longest: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": longest}


_ITEM: dict[str, Any] = {
    "name": _short(_NAME),
    "definition": _short(_DEFINITION),
    "high": _short(_ANCHOR),
    "low": _short(_ANCHOR),
    "weight": {"type": "number", "minimum": 0, "maximum": 1},
    "about": {"enum": list(get_args(Subject))},
}

CRITERIA_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "criteria": {
            "type": "array",
            "minItems": 1,
            "maxItems": MOST,
            "items": {
                "type": "object",
                "properties": _ITEM,
                "required": ["name", "definition", "high", "low"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["criteria"],
    "additionalProperties": False,
}
"""Of the reply that names criteria. Texts are short, because turn 2 reads them once for every batch."""

RELEVANCE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"definition": _short(_DEFINITION), "high": _short(_ANCHOR), "low": _short(_ANCHOR)},
    "required": ["definition", "high", "low"],
    "additionalProperties": False,
}
"""Of the reply that says what relevance means for one query."""


def read_criteria(value: Any) -> tuple[Criterion, ...]:
    """Return the usable criteria of a reply, at most `MOST`; entries that cannot be used are left out.

    Names are unique whatever their case; what only says relevance again is left out, because relevance is scored
    already; a weight outside 0 to 1 is clamped, one that is no number is `WEIGHT`.
    """
    items = value.get("criteria") if isinstance(value, dict) else None
    kept: dict[str, Criterion] = {}
    for item in items if isinstance(items, list) else ():
        if not isinstance(item, dict):
            continue
        texts = {key: _line(item.get(key)) for key in ("name", "definition", "high", "low")}
        name = texts["name"][:60].strip()
        if not name or not texts["definition"] or _restates_relevance(name) or name.casefold() in kept:
            continue
        about = item.get("about")
        kept[name.casefold()] = Criterion(
            **texts | {"name": name},
            weight=_weight(item.get("weight")),
            about=about if about in ("date", "source") else "text",
        )
    return tuple(kept.values())[:MOST]


def read_relevance(value: Any) -> Criterion | None:
    """Return what relevance means for one query, None if the reply does not say it."""
    texts = {key: _line(value.get(key)) for key in ("definition", "high", "low")} if isinstance(value, dict) else {}
    return RELEVANCE.model_copy(update=texts) if texts and all(texts.values()) else None


def _line(value: Any) -> str:
    """Return a text on one line, without the full stop that the prompt puts after it."""
    return " ".join(value.split()).rstrip(". ") if isinstance(value, str) else ""


def _weight(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return WEIGHT
    return min(1.0, max(0.0, float(value)))


def _restates_relevance(name: str) -> bool:
    """Say whether a name means relevance and nothing else; `temporal relevance` means something else."""
    words = [word for word in re.findall(r"\w+", name.casefold()) if word not in _FILLER]
    return all(word.startswith("relevan") for word in words)
