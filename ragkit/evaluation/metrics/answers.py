"""Metrics that compare the answer with the gold answers."""

import re
import string
from abc import abstractmethod
from collections import Counter
from typing import ClassVar, Literal

from typing_extensions import override

from ragkit.engine.registry import metrics
from ragkit.evaluation.metrics.base import PerQuestion
from ragkit.evaluation.prediction import PredictionRow, abstained
from ragkit.evaluation.questions import Question

SQUAD = "Rajpurkar et al. 2016, arXiv 1606.05250, and Rajpurkar et al. 2018, arXiv 1806.03822 (evaluate-v2.0.py)"
HOTPOT = "Yang et al. 2018, arXiv 1809.09600 (hotpot_evaluate_v1.py)"

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalise(text: str) -> str:
    """Return the text in lower case, without ASCII punctuation and English articles, with single spaces.

    Source: `normalize_answer` of the SQuAD and HotpotQA scripts, which do the same in the same order.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


class AnswerMetric(PerQuestion):
    """The best agreement of the answer with any of the gold answers, from 0 to 1.

    As in SQuAD 2.0, an unanswerable question scores 1 for an abstention and 0 for any answer, and gold answers of
    which the normalisation leaves nothing count only when there is no other. A failure, or an abstention on an
    answerable question, scores 0. A question without gold answers has no value.
    """

    needs: ClassVar[Literal["answers", "supporting_ids"] | None] = "answers"

    @abstractmethod
    def agreement(self, answer: str, gold: str) -> float:
        """Return how well a normalised answer agrees with one normalised gold answer."""

    @override
    def score(self, question: Question, prediction: PredictionRow) -> float | None:
        if not question.answerable:
            return float(abstained(prediction))
        if not question.answers:
            return None
        answer = prediction["answer"]
        if prediction["error"] or answer is None or not answer.strip():
            return 0.0
        golds = [gold for gold in map(normalise, question.answers) if gold] or [""]
        return max(self.agreement(normalise(answer), gold) for gold in golds)


@metrics.register("em")
class ExactMatch(AnswerMetric):
    """1 if the answer equals a gold answer after normalisation."""

    name: ClassVar[str] = "em"
    source: ClassVar[str] = SQUAD

    @override
    def agreement(self, answer: str, gold: str) -> float:
        return float(answer == gold)


@metrics.register("f1")
class TokenF1(AnswerMetric):
    """Harmonic mean of the precision and recall of the answer's words, counted with multiplicity."""

    name: ClassVar[str] = "f1"
    source: ClassVar[str] = SQUAD

    @override
    def agreement(self, answer: str, gold: str) -> float:
        words, gold_words = answer.split(), gold.split()
        if not words or not gold_words:
            return float(words == gold_words)
        same = (Counter(words) & Counter(gold_words)).total()
        return 2 * same / (len(words) + len(gold_words))


@metrics.register("hotpot_f1")
class HotpotF1(TokenF1):
    """`f1` with HotpotQA's rule: 'yes', 'no' and 'noanswer' on either side agree only with themselves.

    A gold answer or an answer of which the normalisation leaves nothing scores 0 here.
    """

    name: ClassVar[str] = "hotpot_f1"
    source: ClassVar[str] = HOTPOT

    @override
    def agreement(self, answer: str, gold: str) -> float:
        closed = {"yes", "no", "noanswer"}
        if answer != gold and (answer in closed or gold in closed):
            return 0.0
        return super().agreement(answer, gold) if gold else 0.0


@metrics.register("hit")
class Hit(AnswerMetric):
    """1 if a gold answer occurs in the answer as a run of whole words, after normalisation.

    PopQA's accuracy, on words instead of characters: 'no' does not occur in 'known'.
    """

    name: ClassVar[str] = "hit"
    source: ClassVar[str] = "Mallen et al. 2023, arXiv 2212.10511"

    @override
    def agreement(self, answer: str, gold: str) -> float:
        return float(f" {gold} " in f" {answer} ")


@metrics.register("abstained")
class Abstained(PerQuestion):
    """1 if the pipeline gave no answer; a failure is not an abstention and counts 0."""

    name: ClassVar[str] = "abstained"
    source: ClassVar[str] = SQUAD

    @override
    def score(self, question: Question, prediction: PredictionRow) -> float | None:
        return float(abstained(prediction))
