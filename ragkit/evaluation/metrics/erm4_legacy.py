"""The answer metrics of ERM4's published code, kept as they are so that its tables can be compared with.

They flatter. A gold answer counts as hit wherever its characters occur (`no` in `know`), precision and recall are of
letters, and an answer that holds no gold one still earns for the letters that it shares with the word `None`. Use
`hit`, `em` and `f1` for everything else.
"""

import json
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple

from typing_extensions import override

from ragkit.engine.registry import metrics
from ragkit.evaluation.metrics.answers import AnswerMetric

SOURCE = "Shi et al. 2024 (ERM4), arXiv 2407.10670, as its published code computes it"

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


class Overlap(NamedTuple):
    """Agreement of letters."""

    precision: float
    recall: float
    f1: float


def plain(text: str) -> str:
    """Return a text in lower case, without ASCII punctuation, its blanks collapsed; articles stay."""
    return " ".join(text.lower().translate(_NO_PUNCTUATION).split())


def outputs_of(answer: str) -> list[str]:
    """Return the outputs of an answer: the items of a JSON list of texts, or the answer itself."""
    try:
        value = json.loads(answer)
    except ValueError:
        value = None
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    return [answer] if answer.strip() else []


def legacy_hit(outputs: Iterable[str], golds: Sequence[str]) -> float:
    """Return 1 if a gold answer is a substring of the outputs, joined by commas."""
    joined = ",".join(map(plain, outputs))
    return float(any(plain(gold) in joined for gold in golds))


def rectified(outputs: Iterable[str], golds: Sequence[str]) -> list[str]:
    """Return for each gold answer and output the gold answer, if the output holds it, otherwise the word None."""
    said = list(map(plain, outputs))
    return [gold if plain(gold) in output else "None" for gold in golds for output in said]


def legacy_em(outputs: Iterable[str], golds: Sequence[str]) -> float:
    """Return 1 if a rectified output equals a gold answer: that is, if an output holds one."""
    return float(not set(map(plain, rectified(outputs, golds))).isdisjoint(map(plain, golds)))


def legacy_overlap(outputs: Iterable[str], golds: Sequence[str]) -> Overlap:
    """Return precision, recall and F1 of the letters of the rectified outputs and of all gold answers."""
    found, wanted = (plain(",".join(texts)) for texts in (rectified(outputs, golds), golds))
    shared = sum((Counter(found) & Counter(wanted)).values())
    if not shared:
        return Overlap(0.0, 0.0, 0.0)
    precision, recall = shared / len(found), shared / len(wanted)
    return Overlap(precision, recall, 2 * precision * recall / (precision + recall))


@metrics.register("erm4_legacy_hit")
class LegacyHit(AnswerMetric):
    """1 if a gold answer is a substring of the answer, even inside a word."""

    name: ClassVar[str] = "erm4_legacy_hit"
    source: ClassVar[str] = SOURCE

    @override
    def best(self, answer: str, golds: Sequence[str]) -> float | None:
        return legacy_hit(outputs_of(answer), golds)


@metrics.register("erm4_legacy_em")
class LegacyExactMatch(AnswerMetric):
    """1 if an output of the answer holds a gold answer, which is called exact match there."""

    name: ClassVar[str] = "erm4_legacy_em"
    source: ClassVar[str] = SOURCE

    @override
    def best(self, answer: str, golds: Sequence[str]) -> float | None:
        return legacy_em(outputs_of(answer), golds)


class _OfLetters(AnswerMetric):
    source: ClassVar[str] = SOURCE
    figure: ClassVar[int]

    @override
    def best(self, answer: str, golds: Sequence[str]) -> float | None:
        return legacy_overlap(outputs_of(answer), golds)[self.figure]


@metrics.register("erm4_legacy_precision")
class LegacyPrecision(_OfLetters):
    """Share of the letters of the rectified answer that the gold answers have too."""

    name: ClassVar[str] = "erm4_legacy_precision"
    figure: ClassVar[int] = 0


@metrics.register("erm4_legacy_recall")
class LegacyRecall(_OfLetters):
    """Share of the letters of all gold answers that the rectified answer has too."""

    name: ClassVar[str] = "erm4_legacy_recall"
    figure: ClassVar[int] = 1


@metrics.register("erm4_legacy_f1")
class LegacyF1(_OfLetters):
    """F1 of the letters of the rectified answer and of all gold answers."""

    name: ClassVar[str] = "erm4_legacy_f1"
    figure: ClassVar[int] = 2
