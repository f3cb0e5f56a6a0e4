"""Answers of a closed form: lists, and yes or no."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from typing_extensions import override

from ragkit.engine.registry import metrics
from ragkit.evaluation.metrics.answers import AnswerMetric, harmonic, normalise, overlap

_BULLET = re.compile(r"^\s*(?:[-*•–]\s+|\d{1,3}[.)]\s+)", re.MULTILINE)
_SEPARATOR = re.compile(r"[;\n]|,(?!(?<=\d,)\d{3}(?!\d))|\b(?:and|or)\b|&")
"""A comma inside a number, `$35,000`, separates nothing."""
_VERDICT = re.compile(r"\b(yes|no)\b")


@metrics.register("list_f1")
class ListF1(AnswerMetric):
    """F1 of the items of a list answer, compared after normalisation, whatever their order.

    A gold answer is a whole list; several gold answers are different ways to write it. Items are separated by line
    breaks, semicolons, commas, `and`, `or` or `&`; bullets, item numbers, brackets and quotes around them do not count.
    """

    name: ClassVar[str] = "list_f1"
    source: ClassVar[str] = "set F1 as in Amouyal et al. 2022 (QAMPARI), arXiv 2205.12665; the separators are ragkit's"

    @override
    def best(self, answer: str, golds: Sequence[str]) -> float | None:
        found = Counter(items(answer))
        return max(harmonic(*overlap(found, Counter(items(gold)))) for gold in golds)


def items(text: str) -> list[str]:
    """Return the normalised items of a list that is written as text."""
    pieces = _SEPARATOR.split(_BULLET.sub("\n", text.strip().removeprefix("[").removesuffix("]")))
    # An item that is an article alone is a name, such as option A.
    return [item for piece in pieces if (item := normalise(piece) or "".join(filter(str.isalnum, piece.lower())))]


@metrics.register("yes_no")
class YesNo(AnswerMetric):
    """1 if the first `yes` or `no` in the answer is the gold one; other questions have no value."""

    name: ClassVar[str] = "yes_no"
    source: ClassVar[str] = "ragkit; for the closed questions of HotpotQA, StrategyQA and BoolQ"

    @override
    def best(self, answer: str, golds: Sequence[str]) -> float | None:
        verdicts = {normalise(gold) for gold in golds}
        if not verdicts <= {"yes", "no"}:
            return None
        said = _VERDICT.search(normalise(answer))
        return float(said is not None and said.group() in verdicts)
