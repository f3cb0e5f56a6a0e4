"""How many of the facts that a right answer consists of does an answer state? Without a model."""

import re
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from ragkit.engine.registry import judges
from ragkit.errors import InputError
from ragkit.evaluation.evidence import holds_answer
from ragkit.evaluation.judges.base import Judge, Judgement, NameOf, settled
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@judges.register("key_facts")
class KeyFactJudge(Judge):
    """The share of a question's key facts that an answer states word for word, less the numbers in it that are wrong.

    A question's row lists its facts under `key_facts`, each as a text or as a list of texts any of which will do. A
    number of the answer is wrong if neither the question nor a fact has it; each takes one fact away. The judge costs
    nothing and sees neither paraphrases nor wrong words: it is a check of other judges, and of answers full of figures.
    """

    field: str = Field("key_facts", min_length=1, description="where a question's row lists its facts")

    def figures(self, name_of: NameOf) -> tuple[str, ...]:
        return ("",)

    def prepare(self, questions: Sequence[Question]) -> None:
        for question in questions:
            self._facts(question)

    async def judge(self, question: Question, prediction: PredictionRow, name_of: NameOf) -> Judgement:
        facts = self._facts(question)
        known, value = settled(question, prediction, needs_gold=False)
        if known:
            return Judgement({"": value})
        if not facts:
            return Judgement({"": None})
        answer = prediction["answer"] or ""
        stated = [holds_answer([answer], fact) for fact in facts]
        right = {number for text in (question.question, *sum(facts, ())) for number in _NUMBER.findall(text)}
        wrong = sorted(set(_NUMBER.findall(answer)) - right)
        value = max(0, sum(stated) - len(wrong)) / len(facts)
        missing = [fact[0] for fact, is_stated in zip(facts, stated, strict=True) if not is_stated]
        return Judgement({"": value}, details={"missing": missing, "wrong_numbers": wrong})

    def _facts(self, question: Question) -> list[tuple[str, ...]]:
        """Return the facts of a question, each with its wordings.

        Raises:
            InputError: they are no list of texts or of lists of texts.
        """
        given: Any = question.extra.get(self.field, [])
        facts = [(fact,) if isinstance(fact, str) else fact for fact in given] if isinstance(given, list) else None
        if facts is None or not all(isinstance(fact, (list, tuple)) and fact for fact in facts):
            raise InputError(f"question '{question.id}': '{self.field}' is a list of texts, or of lists of texts")
        if not all(isinstance(wording, str) for fact in facts for wording in fact):
            raise InputError(f"question '{question.id}': '{self.field}' is a list of texts, or of lists of texts")
        return [tuple(fact) for fact in facts]
