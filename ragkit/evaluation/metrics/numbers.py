"""Answers that are quantities: numbers with thousands separators, scale words, per cent, currencies and units."""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import override

from ragkit.engine.registry import metrics
from ragkit.evaluation.metrics.answers import AnswerMetric

_QUANTITY = re.compile(
    r"(?P<sign>(?<![\w.)])[-+−])?\s?(?P<currency>[$€£¥])?\s?"
    r"(?P<number>(?<![\d.])(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3}(?!\w))?|(?<![\w.])\.\d+)"
    r"(?P<short>[kKMB](?![\w²³]))?"
    r"(?:\s?(?P<scale>thousand|million|billion|trillion|mn|bn|tn)\b)?"
    r"(?:\s?(?P<unit>%|percent\b|per\scent\b|°\s?[CF]\b|(?-i:[^\W\d_][^\W\d_]*)[²³]?(?:\s?/\s?[^\W\d_]+[²³]?|\s[^\W\d_]+(?:-1|⁻¹))*))?",
    re.IGNORECASE,
)
_SCALES = {
    **{"k": 1e3, "m": 1e6, "b": 1e9, "mn": 1e6, "bn": 1e9, "tn": 1e12},
    **{"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12},
}
_CURRENCIES = {
    **{"$": "USD", "usd": "USD", "dollar": "USD", "dollars": "USD", "€": "EUR", "eur": "EUR", "euro": "EUR"},
    **{"euros": "EUR", "£": "GBP", "gbp": "GBP", "pound sterling": "GBP", "¥": "JPY", "yen": "JPY"},
}
# Words that pint takes for units (inch, year, technical atmosphere ...) and that in an answer are none.
_NOT_UNITS = frozenset({"a", "an", "as", "at", "are", "by", "in", "is", "of", "on", "or", "to", "per", "and", "the"})
_RELATIVE_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its scale applied, and what it counts: `%`, a currency, a unit that pint knows, or None."""

    value: float
    unit: str | None


@metrics.register("numeric")
@dataclass(frozen=True)
class Numeric(AnswerMetric):
    """1 if the quantities of the answer are those of a gold answer, in the same order and none beside them.

    `1,200`, `1.2 thousand` and `1200` are equal; `12 %` is `12 percent`, `0.12`, and also `12`, because a quantity
    without a unit agrees with one that has a unit when the numbers do. Units of the same kind are converted; other
    units, and currencies, differ. Gold answers without a number give no value.

    Attributes:
        tolerance: the relative difference that is allowed; 0.05 is the relaxed accuracy of ChartQA.
    """

    name: ClassVar[str] = "numeric"
    source: ClassVar[str] = "relaxed accuracy, Masry et al. 2022 (ChartQA), arXiv 2203.10244; units by pint"

    tolerance: float = 0.0

    @override
    def best(self, answer: str, golds: Sequence[str]) -> float | None:
        wanted = [numbers for numbers in map(quantities, golds) if numbers]
        if not wanted:
            return None
        found = quantities(answer)
        return float(any(self._agree(found, gold) for gold in wanted))

    def _agree(self, found: Sequence[Quantity], gold: Sequence[Quantity]) -> bool:
        return len(found) == len(gold) and all(
            agree(one, other, self.tolerance) for one, other in zip(found, gold, strict=True)
        )


def quantities(text: str) -> list[Quantity]:
    """Return the quantities of a text in order."""
    found = []
    for match in _QUANTITY.finditer(text):
        value = float(match["number"].replace(",", ""))
        if match["sign"] in ("-", "−"):
            value = -value
        for scale in (match["short"], match["scale"]):
            value *= _SCALES[scale.lower()] if scale else 1
        unit = _CURRENCIES[match["currency"]] if match["currency"] else _unit(match["unit"])
        found.append(Quantity(value, unit))
    return found


def agree(one: Quantity, gold: Quantity, tolerance: float = 0.0) -> bool:
    """Say whether two quantities are the same within a relative tolerance."""
    if one.unit is not None and gold.unit is not None:
        value = _convert(one, gold.unit)
        return value is not None and _near(value, gold.value, tolerance)
    # Where one of them has no unit, the writer may have left it out, or written 12 % as 0.12.
    values = [one.value, one.value / 100] if one.unit == "%" else [one.value]
    golds = [gold.value, gold.value / 100] if gold.unit == "%" else [gold.value]
    return any(_near(value, wanted, tolerance) for value in values for wanted in golds)


def _near(value: float, gold: float, tolerance: float) -> bool:
    return abs(value - gold) <= (tolerance + _RELATIVE_ROUNDING) * abs(gold)


def _unit(written: str | None) -> str | None:
    """Return the unit that stands behind a number, None if the word is not one."""
    if written is None:
        return None
    words = " ".join(written.split())
    if words.lower() in {"%", "percent", "per cent"}:
        return "%"
    for candidate in (words, words.split(" ")[0]):
        if currency := _CURRENCIES.get(candidate.lower()):
            return currency
        if _parsed(candidate) is not None:
            return candidate
    return None


def _convert(quantity: Quantity, unit: str) -> float | None:
    """Return the number of a quantity in another unit, None if they count different things."""
    if quantity.unit == unit:
        return quantity.value
    source, target = _parsed(quantity.unit or ""), _parsed(unit)
    if source is None or target is None or source.dimensionality != target.dimensionality:
        return None
    return float(_registry().Quantity(quantity.value, source).to(target).magnitude)


@functools.lru_cache(maxsize=4096)
def _parsed(unit: str) -> Any:
    """Return pint's unit of a name, None if it knows none."""
    if unit.lower() in _NOT_UNITS or not unit or len(unit) > 40:
        return None
    text = re.sub(r"°\s?([CF])", r"deg\1", unit)
    text = re.sub(r"\s([^\W\d_]+)(?:-1|⁻¹)", r"/\1", text).replace("²", "**2").replace("³", "**3")
    try:
        parsed = _registry().parse_units(text)
    except Exception:  # noqa: BLE001 - whatever pint stumbles over in a word of an answer, it is no unit
        return None
    return None if parsed.dimensionless else parsed


@functools.lru_cache(maxsize=1)
def _registry() -> Any:
    import pint

    return pint.UnitRegistry()
