"""Scores from the probabilities of digits: what a small local model knows without having to write it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from ragkit.models.base import LanguageModel, Prompt
from ragkit.prompts import render
from ragkit.stages.multicriteria.asking import Scored, count_prompt
from ragkit.stages.multicriteria.criteria import Criterion, Rubric
from ragkit.stages.multicriteria.replies import CRITERION_TOP, RELEVANCE_TOP, Scores
from ragkit.stages.spending import Price, Purse

GIVEN = ("query", "passage", "criterion")

_DIGITS = tuple(str(digit) for digit in range(CRITERION_TOP + 1))
# All scales have the same six digits, so a digit of relevance counts twice.
_DOUBLE = RELEVANCE_TOP / CRITERION_TOP


@dataclass(frozen=True, slots=True)
class Digits:
    """Scores the passages of one question, a call for each passage and score.

    A score is the mean of the digits 0 to 5, weighted by their probabilities; a model that does not tell them gives
    the digit that it chooses. Criteria are asked only about passages whose relevance reaches the threshold.

    Source: Liu et al. 2023 (G-Eval), arXiv 2303.16634.
    """

    model: LanguageModel
    prompt: str
    query: str
    passages: Sequence[str]
    threshold: float

    async def least(self, rubric: Rubric, purse: Purse) -> Price:
        """Return the price of the first passage."""
        return await self._price(self.passages[0], rubric, purse)

    async def score(self, rubric: Rubric, purse: Purse) -> Scored:
        """Score as many passages as the purse holds with all of their criteria."""
        prices = await asyncio.gather(*(self._price(passage, rubric, purse) for passage in self.passages))
        asked = range(purse.take_first(prices))
        first = await asyncio.gather(*(self._digit(position, rubric.relevance) for position in asked))
        scored = {position: Scores(_DOUBLE * digit) for position, digit in zip(asked, first, strict=True)}
        left = [position for position, scores in scored.items() if scores.relevance >= self.threshold]
        pairs = [(position, criterion) for position in left for criterion in rubric.criteria]
        digits = await asyncio.gather(*(self._digit(position, criterion) for position, criterion in pairs))
        for (position, criterion), digit in zip(pairs, digits, strict=True):
            scored[position].criteria[criterion.name] = digit
        return Scored(scored)

    async def _digit(self, position: int, criterion: Criterion) -> float:
        prompt = self.filled(self.passages[position], criterion)
        # A text goes on with a blank before the next word; the turn of a chat begins with it.
        digits = {f" {digit}" if isinstance(prompt, str) else digit: int(digit) for digit in _DIGITS}
        choice = await self.model.choose(prompt, list(digits))
        return sum(choice.probability(text) * value for text, value in digits.items())

    def filled(self, passage: str, criterion: Criterion) -> Prompt:
        """Return the prompt about a passage and a criterion."""
        return render(self.prompt, query=self.query, passage=passage, criterion=criterion)

    async def _price(self, passage: str, rubric: Rubric, purse: Purse) -> Price:
        calls = 1 + len(rubric.criteria)
        if not purse.counts_tokens:
            return Price(calls, 0)
        return Price(calls, calls * await count_prompt(self.model, self.filled(passage, rubric.relevance)))
