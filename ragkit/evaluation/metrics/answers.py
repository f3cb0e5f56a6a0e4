"""Metrics that compare the answer with the gold answers."""

import re
import string
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from typing_extensions import override

from ragkit.engine.registry import metrics
from ragkit.evaluation.metrics.base import Needs, PerQuestion
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question

SQUAD = "Rajpurkar et al. 2016, arXiv 1606.05250, and Rajpurkar et al. 2018, arXiv 1806.03822 (evaluate-v2.0.py)"
HOTPOT = "Yang et al. 2018, arXiv 1809.09600 (hotpot_evaluate_v1.py)"

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_MARKS = re.compile(f"[{re.escape(string.punctuation)}]+")
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalise(text: str) -> str:
    """Return the text in lower case, without ASCII punctuation and English articles, with single spaces.

    Source: `normalize_answer` of the SQuAD and HotpotQA scripts, which do the same in the same order.
    """
    lower = text.lower()
    # `translate` is the faster one by far for ASCII, and the slower one by far for all else.
    plain = lower.translate(_PUNCTUATION) if lower.isascii() else _MARKS.sub("", lower)
    return " ".join(_ARTICLES.sub(" ", plain).split())


def overlap(found: Counter[str], gold: Counter[str]) -> tuple[float, float]:
    """Return precision and recall of what was found, counted with multiplicity; 0 of nothing."""
    same = (found & gold).total()
    return (same / found.total() if found else 0.0), (same / gold.total() if gold else 0.0)


def harmonic(precision: float, recall: float) -> float:
    """Return F1, the harmonic mean of precision and recall."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


class AnswerMetric(PerQuestion):
    """The best agreement of the answer with any of the gold answers, from 0 to 1.

    As in SQuAD 2.0, an unanswerable question scores 1 for no answer and 0 for any answer. A failure scores 0. A
    question without gold answers, or with gold answers that the metric says nothing about, has no value.
    """

    needs: ClassVar[Needs | None] = "answers"

    @override
    def score(self, question: Question, prediction: PredictionRow) -> float | None:
        if question.answerable and not question.answers:
            return None
        answer = prediction["answer"] or ""
        if not question.answerable:
            return 0.0 if prediction["error"] else float(not normalise(answer))
        value = self.best(answer, question.answers)  # of a failure too: it has none where the metric does not apply
        return 0.0 if prediction["error"] and value is not None else value

    @abstractmethod
    def best(self, answer: str, golds: Sequence[str]) -> float | None:
        """Return how well an answer, empty for an abstention, agrees with the gold answer it agrees with best.

        None when the metric says nothing about such gold answers.
        """


class NormalisedMetric(AnswerMetric):
    """An answer metric over normalised texts.

    As in SQuAD 2.0, gold answers of which the normalisation leaves nothing count only when there is no other.
    """

    @abstractmethod
    def agreement(self, answer: str, gold: str) -> float:
        """Return how well a normalised answer agrees with one normalised gold answer."""

    @override
    def best(self, answer: str, golds: Sequence[str]) -> float | None:
        normalised = normalise(answer)
        return max(self.agreement(normalised, gold) for gold in [g for g in map(normalise, golds) if g] or [""])


@metrics.register("em")
class ExactMatch(NormalisedMetric):
    """1 if the answer equals a gold answer after normalisation."""

    name: ClassVar[str] = "em"
    source: ClassVar[str] = SQUAD

    @override
    def agreement(self, answer: str, gold: str) -> float:
        return float(answer == gold)


@metrics.register("f1")
class TokenF1(NormalisedMetric):
    """Harmonic mean of the precision and recall of the answer's words, counted with multiplicity."""

    name: ClassVar[str] = "f1"
    source: ClassVar[str] = SQUAD

    @override
    def agreement(self, answer: str, gold: str) -> float:
        words, gold_words = answer.split(), gold.split()
        if not words or not gold_words:
            return float(words == gold_words)
        return harmonic(*overlap(Counter(words), Counter(gold_words)))


@metrics.register("hotpot_f1")
class HotpotF1(TokenF1):
    """`f1` with HotpotQA's rule: 'yes', 'no' and 'noanswer' on either side agree only with themselves.

    A gold answer or an answer of which the normalisation leaves nothing scores 0 here.
    """

    name: ClassVar[str] = "hotpot_f1"
    source: ClassVar[str] = HOTPOT

    @override
    def agreement(self, answer: str, gold: str) -> float:
        return harmonic(*self.precision_and_recall(answer, gold))

    def precision_and_recall(self, answer: str, gold: str) -> tuple[float, float]:
        """Return precision and recall of the words of a normalised answer, both 0 where the rule says so."""
        closed = {"yes", "no", "noanswer"}
        if answer != gold and (answer in closed or gold in closed):
            return 0.0, 0.0
        return overlap(Counter(answer.split()), Counter(gold.split()))


@metrics.register("hit")
class Hit(NormalisedMetric):
    """1 if a gold answer occurs in the answer as a run of whole words, after normalisation.

    PopQA's accuracy, on words instead of characters: 'no' does not occur in 'known'.
    """

    name: ClassVar[str] = "hit"
    source: ClassVar[str] = "Mallen et al. 2023, arXiv 2212.10511"

    @override
    def agreement(self, answer: str, gold: str) -> float:
        return float(f" {gold} " in f" {answer} ")
