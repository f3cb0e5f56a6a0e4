"""Scores that need no model: how recent a passage is, and how much its source counts, from metadata."""

import fnmatch
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from pydantic import Field, field_validator

from ragkit.engine.component import Component
from ragkit.engine.state import Passage
from ragkit.stages.multicriteria.replies import CRITERION_TOP

_DAYS_OF_A_YEAR = 365.25
_YEAR = re.compile(r"\s*(\d{4})(?:-(\d{1,2}))?\s*")


class DateScorer(Component):
    """Scores criteria that are about the date: 5 for the newest, halved with every half-life."""

    field: str = Field("date", description="metadata field with an ISO date, a year, or seconds since 1970")
    half_life_years: float = Field(3.0, gt=0, allow_inf_nan=False, description="age at which a passage scores 2.5")
    as_of: str | None = Field(None, description="date from which age counts; by default the newest of the candidates")
    undated: float = Field(0.0, ge=0, le=CRITERION_TOP, description="what a passage without a readable date scores")

    @field_validator("as_of")
    @classmethod
    def _check(cls, as_of: str | None) -> str | None:
        if as_of is not None and read_date(as_of) is None:
            raise ValueError(f"'{as_of}' is no date such as 2024-06-30")
        return as_of

    def score(self, passages: Sequence[Passage]) -> list[float]:
        """Return a score from 0 to 5 for each passage; what is newer than `as_of` scores 5."""
        dates = [read_date(passage.metadata.get(self.field)) for passage in passages]
        newest = read_date(self.as_of) or max((day for day in dates if day is not None), default=None)
        return [self.undated if day is None or newest is None else self._of_age((newest - day).days) for day in dates]

    def _of_age(self, days: int) -> float:
        return float(CRITERION_TOP * 0.5 ** (max(0, days) / (self.half_life_years * _DAYS_OF_A_YEAR)))


class SourceScorer(Component):
    """Scores criteria that are about the source by a list of patterns."""

    field: str = Field("source", description="metadata field with the source: a file, a publisher, an address")
    grades: dict[str, float] = Field(
        min_length=1,
        description="pattern (`*.gov`, in any case) to score from 0 to 5; the first that fits counts",
    )
    other: float = Field(0.0, ge=0, le=CRITERION_TOP, description="what a passage scores that fits no pattern")

    @field_validator("grades")
    @classmethod
    def _check(cls, grades: dict[str, float]) -> dict[str, float]:
        for pattern, grade in grades.items():
            if not 0 <= grade <= CRITERION_TOP:
                raise ValueError(f"the grade of '{pattern}' is {grade:g}, but grades go from 0 to {CRITERION_TOP}")
        return grades

    def score(self, passages: Sequence[Passage]) -> list[float]:
        """Return a score from 0 to 5 for each passage."""
        return [self._of(str(passage.metadata.get(self.field, ""))) for passage in passages]

    def _of(self, source: str) -> float:
        name = source.casefold()
        fitting = (grade for pattern, grade in self.grades.items() if fnmatch.fnmatchcase(name, pattern.casefold()))
        return next(fitting, self.other)


def read_date(value: Any) -> date | None:
    """Return the day that a metadata value names, None if it names none."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    text = str(value)
    try:
        if match := _YEAR.fullmatch(text):
            return date(int(match[1]), int(match[2] or 1), 1)
        if isinstance(value, str):
            return datetime.fromisoformat(text.strip()).date()
        return datetime.fromtimestamp(value, UTC).date()
    except (ValueError, OverflowError, OSError):
        return None
