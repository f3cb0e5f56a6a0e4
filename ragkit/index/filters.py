"""Filters: conditions on the metadata of passages, evaluated by the passage store."""

import json
from datetime import date
from typing import Any, Self

from pydantic import Field, ValidationError, field_validator

from ragkit.engine.conditions import Test
from ragkit.errors import InputError, did_you_mean

INDEXED_FIELDS = ("source", "document")
"""Metadata fields with an SQL index; only these names stand in SQL text, all others are bound."""

PASSAGE_ID = "id"
"""The field that stands for a passage's own id, which is no metadata."""

Sql = tuple[str, list[Any]]
"""A truth value in SQL (NULL counts as false), and the values bound to its question marks."""

_NO: Sql = ("0", [])


class Filter(Test):
    """A test on a metadata field of passages, or a combination of tests, in the words of pipeline conditions.

    Fields are what loaders write (`source`, `document`, `title`, `page`, `section`, `kind`), the further fields of
    JSONL rows, and `id`, the passage's own. Values of another type are different: `equals: 3` does not match the
    text "3". `less_than` and `at_least` compare numbers, texts with a text (dates as `2024-05-31`), and lists by
    their length; `contains` looks for a part of a text or a member of a list (`{field: section, contains:
    Storage}`). A test on a field that a passage lacks does not hold, except `is_empty: true`.

    Example:
        `{all_of: [{field: source, equals: soil.pdf}, {field: page, less_than: 10}]}`
    """

    field: str | None = Field(None, min_length=1, description="metadata field that an operator tests")
    less_than: float | str | None = Field(None, description="the number, text or length of a list is less than this")
    at_least: float | str | None = Field(None, description="the number, text or length of a list is at least this")
    all_of: tuple["Filter", ...] | None = Field(None, description="every one of these conditions holds")
    any_of: tuple["Filter", ...] | None = Field(None, description="at least one of these conditions holds")
    negate: "Filter | None" = Field(None, description="this condition does not hold")

    @field_validator("field")
    @classmethod
    def _no_quotes(cls, name: str | None) -> str | None:
        if name is not None and ('"' in name or "\\" in name):
            raise ValueError(f"a metadata field with a quote or backslash in its name cannot be tested: {name}")
        return name

    @field_validator("equals", "is_in", "less_than", "at_least", "contains", mode="before")
    @classmethod
    def _is_json(cls, value: Any) -> Any:
        # YAML reads an unquoted 2024-05-31 as a date, JSON metadata has no dates.
        try:
            return json.loads(json.dumps(value, allow_nan=False, default=_date_as_text))
        except TypeError as error:
            raise ValueError(str(error)) from None

    def data(self) -> dict[str, Any]:
        """Return the filter as JSON data: the key under which its passages are cached."""
        return self.model_dump(mode="json", exclude_unset=True)

    def sql(self) -> Sql:
        """Return the condition on a row with a JSON column `metadata`, with bound values."""
        if self.all_of is not None:
            return _joined(" AND ", self.all_of, "1")
        if self.any_of is not None:
            return _joined(" OR ", self.any_of, "0")
        if self.negate is not None:
            text, values = self.negate.sql()
            return f"NOT COALESCE({text}, 0)", values  # what is tested of a missing field is NULL, and NOT NULL is NULL
        text, values = self._test(_Field(self.field or ""))
        return f"({text})", values

    def _test(self, field: "_Field") -> Sql:
        if self.is_empty is not None:
            # NULL if the value is null or missing; a text may look like an empty list.
            empty = f"COALESCE({field.kind} || {field.value} IN ('text', 'array[]'), 1)"
            return (empty if self.is_empty else f"NOT ({empty})"), field.path * 2
        if self.is_in is not None:
            return _in(field, self.is_in)
        if self.less_than is not None:
            return _compared(field, "<", self.less_than)
        if self.at_least is not None:
            return _compared(field, ">=", self.at_least)
        if "contains" in self.model_fields_set:
            return _contains(field, self.contains)
        return _equals(field, self.equals)

    def __and__(self, other: "Filter | None") -> "Filter":
        return self if other is None else Filter(all_of=(self, other))

    @classmethod
    def parse(cls, data: Any, place: str) -> Self:
        """Return the filter that data describe.

        Raises:
            InputError: they describe none; the message begins with `place`.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, (place, *first["loc"])))
            message = first["msg"].removeprefix("Value error, ")
            if first["type"] == "extra_forbidden":
                message = f"unknown key{did_you_mean(str(first['loc'][-1]), cls.model_fields)} (valid keys: "
                message += f"{', '.join(cls.model_fields)})"
            raise InputError(f"{where}: {message}") from None


class _Field:
    """How SQL names a field's value and its JSON type; `path` is bound for each of the two where it is bound."""

    def __init__(self, name: str) -> None:
        if name == PASSAGE_ID:
            self.value, self.kind, self.path = "id", "'text'", []
            self.length, self.members = "0", "json_each('[]')"
            return
        fixed = name in INDEXED_FIELDS
        path = f"'$.\"{name}\"'" if fixed else "?"
        self.value = f"json_extract(metadata, {path})"
        self.kind = f"json_type(metadata, {path})"
        self.length = f"json_array_length(metadata, {path})"
        self.members = f"json_each(metadata, {path})"
        self.path = [] if fixed else [f'$."{name}"']


def _date_as_text(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"metadata are never a {type(value).__name__}")


def _joined(word: str, filters: tuple[Filter, ...], nothing: str) -> Sql:
    parts = [part.sql() for part in filters]
    text = word.join(text for text, _ in parts) or nothing
    return f"({text})", [value for _, values in parts for value in values]


def _equals(field: _Field, wanted: Any) -> Sql:
    if wanted is None or isinstance(wanted, bool):
        return f"{field.kind} = ?", [*field.path, json.dumps(wanted)]
    if isinstance(wanted, str):
        return f"{field.value} = ? AND {field.kind} = 'text'", [*field.path, wanted, *field.path]
    if isinstance(wanted, (int, float)):
        text = f"{field.value} = ? AND {field.kind} IN ('integer', 'real')"
        return text, [*field.path, _number(wanted), *field.path]
    text = f"{field.value} = json(?) AND {field.kind} IN ('array', 'object')"
    return text, [*field.path, json.dumps(wanted, ensure_ascii=False), *field.path]


def _in(field: _Field, choices: list[Any]) -> Sql:
    """Test texts and numbers by one bound list each: there may be thousands."""
    found: list[Sql] = []
    texts = [choice for choice in choices if isinstance(choice, str)]
    numbers = [choice for choice in choices if type(choice) in (int, float)]  # not bool, which is an int to Python
    others = [choice for choice in choices if not isinstance(choice, str) and type(choice) not in (int, float)]
    for listed, kinds in ((texts, "('text')"), (numbers, "('integer', 'real')")):
        if listed:
            text = f"({field.value} IN (SELECT value FROM json_each(?)) AND {field.kind} IN {kinds})"  # noqa: S608
            found.append((text, [*field.path, json.dumps(listed, ensure_ascii=False), *field.path]))
    found += [_equals(field, choice) for choice in others]
    return (" OR ".join(text for text, _ in found), [v for _, values in found for v in values]) if found else _NO


def _compared(field: _Field, sign: str, bound: float | str) -> Sql:
    if isinstance(bound, str):
        return f"{field.kind} = 'text' AND {field.value} {sign} ?", [*field.path * 2, bound]
    text = (
        f"CASE {field.kind} WHEN 'integer' THEN {field.value} {sign} ? WHEN 'real' THEN {field.value} {sign} ? "
        f"WHEN 'array' THEN {field.length} {sign} ? ELSE 0 END"
    )
    return text, [*field.path, *field.path, bound, *field.path, bound, *field.path, bound]


def _contains(field: _Field, wanted: Any) -> Sql:
    member = _Field("")
    member.value, member.kind, member.path = "item.value", "item.type", []
    test, values = _equals(member, wanted)
    text = f"WHEN 'array' THEN EXISTS (SELECT 1 FROM {field.members} AS item WHERE {test})"  # noqa: S608
    values = [*field.path, *field.path, *values]
    if isinstance(wanted, str):
        text += f" WHEN 'text' THEN instr({field.value}, ?) > 0"
        values += [*field.path, wanted]
    return f"CASE {field.kind} {text} ELSE 0 END", values


def _number(value: float) -> float:
    """Return a number that SQLite can bind: larger whole numbers are stored as floats."""
    return value if isinstance(value, float) or -(2**63) <= value < 2**63 else float(value)
