"""Conditions of loops and branches: data, never evaluated code."""

from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from ragkit.engine.component import Component
from ragkit.engine.state import STATE_FIELDS, State
from ragkit.errors import did_you_mean

_OPERATORS = ("equals", "is_in", "less_than", "at_least", "contains", "is_empty")
_JOINS = ("all_of", "any_of", "negate")


class Test(Component):
    """The words of conditions: one operator on a `field`, or one way to join others. See `Condition`."""

    field: str | None = Field(None, description="what an operator tests")
    equals: Any = Field(None, description="the field equals this value")
    is_in: list[Any] | None = Field(None, description="the field is one of these values")
    less_than: Any = Field(None, description="the field, or the length of a list, is less than this")
    at_least: Any = Field(None, description="the field, or the length of a list, is at least this")
    contains: Any = Field(None, description="the text or list holds this")
    is_empty: bool | None = Field(None, description="the field is empty or None (true), or is not (false)")
    all_of: Any = Field(None, description="every one of these conditions holds")
    any_of: Any = Field(None, description="at least one of these conditions holds")
    negate: Any = Field(None, description="this condition does not hold")

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        given = [name for name in (*_OPERATORS, *_JOINS) if name in self.model_fields_set]
        if len(given) != 1:
            raise ValueError(f"a condition has exactly one of {', '.join((*_OPERATORS, *_JOINS))}")
        if given[0] != "equals" and getattr(self, given[0]) is None:
            raise ValueError(f"'{given[0]}' must have a value")
        if (given[0] in _OPERATORS) != (self.field is not None):
            raise ValueError(f"'{given[0]}' {'needs' if given[0] in _OPERATORS else 'does not take'} a 'field'")
        return self


class Condition(Test):
    """A test on one field of the state, or a combination of tests.

    It has `field` and one of the operators `equals`, `is_in`, `less_than`, `at_least`, `contains`, `is_empty`; or it is
    one of `all_of`, `any_of` (lists of conditions) and `negate`. For lists, `less_than` and `at_least` mean the length.

    Example:
        `{field: vars.hops, at_least: 3}`, `{any_of: [{field: documents, is_empty: true}, {field: answer, equals: x}]}`
    """

    field: str | None = Field(None, description="state field or vars.<name> that an operator tests")
    less_than: float | None = Field(None, description="the field, or the length of a list, is less than this")
    at_least: float | None = Field(None, description="the field, or the length of a list, is at least this")
    all_of: tuple["Condition", ...] | None = Field(None, description="every one of these conditions holds")
    any_of: tuple["Condition", ...] | None = Field(None, description="at least one of these conditions holds")
    negate: "Condition | None" = Field(None, description="this condition does not hold")

    @field_validator("field")
    @classmethod
    def _known_field(cls, name: str | None) -> str | None:
        if name is not None and name not in STATE_FIELDS and not name.startswith("vars."):
            hint = did_you_mean(name, STATE_FIELDS)
            raise ValueError(f"no field '{name}'{hint} (fields: {', '.join(STATE_FIELDS)}, vars.<name>)")
        return name

    @property
    def reads(self) -> tuple[str, ...]:
        """The state fields that the condition looks at."""
        nested = (*(self.all_of or ()), *(self.any_of or ()), *((self.negate,) if self.negate else ()))
        return tuple(name for condition in nested for name in condition.reads) or ((self.field,) if self.field else ())

    def holds(self, state: State) -> bool:
        """Say whether the condition holds for a state.

        Raises:
            TypeError: the field cannot be compared with the value.
        """
        if self.all_of is not None:
            return all(condition.holds(state) for condition in self.all_of)
        if self.any_of is not None:
            return any(condition.holds(state) for condition in self.any_of)
        if self.negate is not None:
            return not self.negate.holds(state)
        value = state.get(self.field or "")
        if self.is_empty is not None:
            return (value is None or value == "" or value == ()) is self.is_empty
        if self.is_in is not None:
            return value in self.is_in
        if self.less_than is not None:
            return bool(_number(value, self.field) < self.less_than)
        if self.at_least is not None:
            return bool(_number(value, self.field) >= self.at_least)
        if "contains" in self.model_fields_set:
            return value is not None and self.contains in value
        return bool(value == self.equals)


def _number(value: Any, field: str | None) -> Any:
    if isinstance(value, tuple):
        return len(value)
    if isinstance(value, (int, float)):
        return value
    raise TypeError(f"'{field}' is {value!r}, which is neither a number nor a list")
