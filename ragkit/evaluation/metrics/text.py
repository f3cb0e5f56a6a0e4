"""Longer answers: how much of the gold text is in them, in its order."""

import re
from collections.abc import Sequence
from typing import ClassVar

from typing_extensions import override

from ragkit.engine.registry import metrics
from ragkit.evaluation.metrics.answers import AnswerMetric, harmonic

_NOT_A_WORD = re.compile(r"[^a-z0-9]+")


@metrics.register("rouge_l")
class RougeL(AnswerMetric):
    """F1 of the longest common subsequence of words, as the package rouge-score computes it without a stemmer.

    Words are runs of a-z and 0-9 in lower case; an answer or a gold answer without any scores 0.
    """

    # rouge-score itself is not used because it brings nltk and absl for these few lines.
    name: ClassVar[str] = "rouge_l"
    source: ClassVar[str] = "Lin 2004, aclanthology W04-1013; rouge-score 0.1.2, rougeL"

    @override
    def best(self, answer: str, golds: Sequence[str]) -> float | None:
        words = _words(answer)
        return max(self._f1(words, _words(gold)) for gold in golds)

    @staticmethod
    def _f1(words: Sequence[str], gold: Sequence[str]) -> float:
        if not words or not gold:
            return 0.0
        common = common_subsequence(words, gold)
        return harmonic(common / len(words), common / len(gold))


def _words(text: str) -> list[str]:
    return _NOT_A_WORD.sub(" ", text.lower()).split()


def common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Return the length of the longest common subsequence, a row of the table being the bits of one number.

    Source: Hyyrö 2004, Bit-parallel LCS-length computation revisited.
    """
    places: dict[str, int] = {}
    for position, word in enumerate(a):
        places[word] = places.get(word, 0) | 1 << position
    full = (1 << len(a)) - 1
    row = full
    for word in b:
        same = row & places.get(word, 0)
        row = ((row + same) | (row - same)) & full
    return len(a) - row.bit_count()
