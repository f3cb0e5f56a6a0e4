"""What a model said about passages: scores as JSON, or the lines `Doc: 3, Relevance: 7` of the paper's prompts."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from ragkit.errors import ReplyError
from ragkit.stages.multicriteria.criteria import Criterion

RELEVANCE_TOP = 10
CRITERION_TOP = 5
REASON_CHARACTERS = 200

_MARKS = re.compile(r"[*`_\[\](){}\"']")
_PAIR = re.compile(
    r"\b(?:doc(?:ument)?|passage)\b\s*[:#.=]?\s*(-?\d+)\b(?:(?!\bdoc)[^\n])*?"
    r"\b(?:relevance|score)\b\s*[:=]?\s*(-?\d+(?:\.\d+)?)",
    re.IGNORECASE,
)
_BRACKETED = re.compile(r"^\W*\[\s*(-?\d+)\s*\][^\n]*?\b(?:relevance|score)\b\W*?(-?\d+(?:\.\d+)?)", re.IGNORECASE)
_NOTHING = re.compile(r"\W*(?:none|no (?:relevant )?(?:documents?|passages?))?\W*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Scores:
    """What a passage scored: relevance from 0 to 10, criteria from 0 to 5, by name."""

    relevance: float
    criteria: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reading:
    """A reply about numbered passages.

    Attributes:
        scores: by number, of the passages that the model kept.
        skipped: entries or lines without a valid number and score.
    """

    scores: dict[int, Scores]
    skipped: int = 0


def scores_schema(count: int, criteria: Sequence[Criterion], reasoning: bool) -> dict[str, Any]:
    """Return the JSON Schema of a reply about passages 1 to `count`, with a reason before the scores if wanted."""
    properties: dict[str, Any] = {"number": {"type": "integer", "minimum": 1, "maximum": count}}
    if reasoning:
        properties["reason"] = {"type": "string", "maxLength": REASON_CHARACTERS}
    properties["relevance"] = {"type": "number", "minimum": 0, "maximum": RELEVANCE_TOP}
    if criteria:
        names = [criterion.name for criterion in criteria]
        properties["scores"] = {
            "type": "object",
            "properties": {name: {"type": "integer", "minimum": 0, "maximum": CRITERION_TOP} for name in names},
            "required": names,
            "additionalProperties": False,
        }
    item = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {
        "type": "object",
        "properties": {"passages": {"type": "array", "maxItems": count, "items": item}},
        "required": ["passages"],
        "additionalProperties": False,
    }


def read_scores(text: str, count: int, criteria: Sequence[Criterion]) -> Reading:
    """Return the scores of a JSON reply.

    A number from 1 to `count` is taken with its scores or not at all, the first time that it occurs. Scores are
    clamped to their ranges; a criterion without a number is 0. An empty list says that no passage is worth keeping.

    Raises:
        ReplyError: the reply is no list of passages, or not one entry of it can be used.
    """
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    entries = value.get("passages") if isinstance(value, dict) else None
    if not isinstance(entries, list):
        raise ReplyError(f"the reply is no JSON object with a list of passages; it began with {text[:80]!r}", text)
    found: dict[int, Scores] = {}
    skipped = 0
    for entry in entries:
        number, relevance = (entry.get("number"), entry.get("relevance")) if isinstance(entry, dict) else (None, None)
        given = entry.get("scores") if isinstance(entry, dict) else None
        if not _is_number(number) or number not in range(1, count + 1) or number in found or not _is_number(relevance):
            skipped += 1
            continue
        scores = given if isinstance(given, dict) else {}
        found[int(number)] = Scores(
            _clamp(relevance, RELEVANCE_TOP),
            {c.name: _clamp(s, CRITERION_TOP) if _is_number(s := scores.get(c.name)) else 0.0 for c in criteria},
        )
    if entries and not found:
        raise ReplyError(f"no entry has the number of a passage and its relevance; it began with {text[:80]!r}", text)
    return Reading(found, skipped)


def read_lines(text: str, count: int, top: float) -> Reading:
    """Return the final scores of a reply in the line grammar, one `Doc: <number>, Relevance: <final score>` a line.

    Decimals are kept, scores are clamped to 0 ... `top`, numbers outside 1 ... `count` and lines without a score are
    skipped with their own number only, and the first line about a passage counts. Code fences, bullets, bold and
    brackets do no harm. An empty reply says that no passage is worth keeping.

    Raises:
        ReplyError: the reply is not empty, but no line of it can be used.
    """
    found: dict[int, Scores] = {}
    skipped = 0
    for line in text.splitlines():
        if not line.strip() or line.strip().startswith("```"):
            continue
        pairs = _BRACKETED.findall(line) or _PAIR.findall(_MARKS.sub("", line))
        skipped += not pairs
        for number, score in ((int(number), float(score)) for number, score in pairs):
            if 1 <= number <= count and number not in found:
                found[number] = Scores(_clamp(score, top))
            else:
                skipped += 1
    if not found and not _NOTHING.fullmatch(text.replace("`", "")):
        raise ReplyError(f"no line is of the form 'Doc: 3, Relevance: 7'; the reply began with {text[:80]!r}", text)
    return Reading(found, skipped)


def read_lines_as_published(text: str, count: int) -> list[tuple[int, float]]:
    """Return what the parser of the paper's experiments makes of a reply, for comparing with published runs.

    Its defects are part of it: decimals are cut off and signs lost, numbers below 1 pass, a line whose score cannot be
    read keeps its number, so that the scores after it belong to other passages, and duplicates stay.

    Source: llama_index, `default_parse_choice_select_answer_fn`, as used by microsoft/REBEL (MIT).
    """
    numbers: list[int] = []
    scores: list[float] = []
    for line in text.split("\n"):
        parts = line.split(",")
        if len(parts) != 2:
            continue
        try:
            number = int(parts[0].split(":")[1].strip())
        except (IndexError, ValueError):
            continue
        if number > count:
            continue
        numbers.append(number)
        digits = re.findall(r"\d+", parts[1].partition(":")[2].partition(":")[0])
        scores += [float(digits[0])] if digits else []
    return list(zip(numbers, scores, strict=False))


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


def _clamp(value: float, top: float) -> float:
    return min(float(top), max(0.0, float(value)))
