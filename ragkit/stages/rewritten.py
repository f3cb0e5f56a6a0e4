"""The output of Query Rewriter+: how it is written as text, and how it is read in whatever form a model writes it."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

QUESTIONS_KEY, QUERIES_KEY = "rewritten_questions", "queries"
SEPARATOR = "**"

GRAMMAR = r"""
start: "Rewritten Question:\n" list "\n\nQuery:\n" list
list: ITEM ("**" ITEM)*
ITEM: /[^*\n]+/
"""
"""Lark grammar of what `write_rewritten` writes."""

_HEADERS = re.compile(
    r"^\W*(?:(?P<questions>(?:rewritten|clarified)[ _](?:questions?|input))|"
    r"(?P<queries>(?:search )?quer(?:y|ies)))\W*?:",
    re.IGNORECASE | re.MULTILINE,
)
_BULLET = re.compile(r"^\s*(?:[-*•]\s+|\d{1,2}[.)]\s+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What a question was rewritten to.

    Attributes:
        questions: clarified questions, at least one.
        queries: search queries, at least one.
    """

    questions: tuple[str, ...]
    queries: tuple[str, ...]


def schema(max_queries: int) -> dict[str, Any]:
    """Return the JSON Schema of a prompted reply; lengths are bounded, because small models repeat themselves."""

    def texts(most: int) -> dict[str, Any]:
        text = {"type": "string", "minLength": 1, "maxLength": 200}
        return {"type": "array", "items": text, "minItems": 1, "maxItems": most}

    return {
        "type": "object",
        "properties": {QUESTIONS_KEY: texts(3), QUERIES_KEY: texts(max_queries)},
        "required": [QUESTIONS_KEY, QUERIES_KEY],
        "additionalProperties": False,
    }


def write_rewritten(rewritten: Rewritten) -> str:
    """Return the text form: two headers, each followed by a line of items with `**` between them."""
    questions, queries = (SEPARATOR.join(map(_item, items)) for items in (rewritten.questions, rewritten.queries))
    return f"Rewritten Question:\n{questions}\n\nQuery:\n{queries}"


def read_rewritten(text: str, *, cut: bool = False) -> Rewritten | None:
    """Return what a reply says, as JSON (in a fence or among other text, under any usual keys) or in the text form.

    Args:
        text: the reply.
        cut: whether it ended at the token limit; its last item is then left out, unless it is the only one.

    Returns:
        None if the reply has no questions or no queries.
    """
    read = _read_json(text)
    questions, queries = _read_text(text) if read is None else read
    queries = queries[:-1] if cut and len(queries) > 1 else queries
    return Rewritten(questions, queries) if questions and queries else None


def distinct(texts: Iterable[str], most: int) -> tuple[str, ...]:
    """Return the first `most` texts that differ in more than case and spacing."""
    found: dict[str, str] = {}
    for text in texts:
        found.setdefault(" ".join(text.casefold().split()), text)
    return tuple(found.values())[:most]


def _item(text: str) -> str:
    return " ".join(text.replace("*", " ").split())


def _read_json(text: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return the items of the first JSON object of a reply, None if it holds none with the two lists."""
    start = text.find("{")
    if start < 0:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(text[start:])
    except ValueError:
        from json_repair import repair_json

        value = repair_json(text[start:], return_objects=True)
    if not isinstance(value, dict):
        return None
    lists: dict[str, tuple[str, ...]] = {}
    for key, items in value.items():
        if (match := _HEADERS.match(f"{key}:")) and match.lastgroup:
            lists.setdefault(match.lastgroup, _texts(items))
    return lists.get("questions", ()), lists.get("queries", ())


def _read_text(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the items below the two headers, separated by `**` or as lines of a list."""
    lists: dict[str, tuple[str, ...]] = {}
    headers = list(_HEADERS.finditer(text))
    for number, header in enumerate(headers, 1):
        end = headers[number].start() if number < len(headers) else len(text)
        if header.lastgroup:
            section = text[header.end() : end].strip().partition("\n\n")[0]
            lists.setdefault(header.lastgroup, _texts(section))
    return lists.get("questions", ()), lists.get("queries", ())


def _texts(value: Any) -> tuple[str, ...]:
    """Return the texts of a list, or of a text that holds one."""
    if isinstance(value, str):
        pieces: Sequence[Any] = value.split(SEPARATOR) if SEPARATOR in value else _BULLET.sub("", value).split("\n")
    else:
        pieces = value if isinstance(value, list) else []
    return tuple(item for piece in pieces if isinstance(piece, str) and (item := " ".join(piece.split())))
