"""Turn 1: what the passages of a query are to be judged by, inferred from the query alone."""

import json
from dataclasses import dataclass
from typing import Any

from ragkit.errors import ReplyError
from ragkit.models.base import LanguageModel, Prompt
from ragkit.prompts import render
from ragkit.stages.multicriteria.asking import REPAIR, ask_twice, count_prompt
from ragkit.stages.multicriteria.criteria import (
    CRITERIA_SCHEMA,
    RELEVANCE,
    RELEVANCE_SCHEMA,
    Rubric,
    read_criteria,
    read_relevance,
)
from ragkit.stages.spending import Price, Purse

GIVEN = ("query", "problem")

_MAX_NEW_TOKENS = 640


@dataclass(frozen=True, slots=True)
class Turn:
    """Asks for the rubric of one query.

    Attributes:
        relevance_only: ask what relevance means for the query, and for no criteria.
    """

    model: LanguageModel
    prompt: str
    query: str
    relevance_only: bool

    async def price(self, purse: Purse) -> Price:
        """Return what the call may cost."""
        if not purse.counts_tokens:
            return Price(1, 0)
        return Price(1, await count_prompt(self.model, self._filled()) + _MAX_NEW_TOKENS)

    async def infer(self, purse: Purse, rest: Price) -> Rubric | None:
        """Return the rubric, None if no reply can be used; a second call must leave `rest` in the purse."""
        price = await self.price(purse) + REPAIR

        def may_repeat() -> bool:
            return purse.holds(price + rest) and purse.take(price)

        return await ask_twice(self._ask, may_repeat)

    async def _ask(self, problem: str) -> Rubric:
        schema = RELEVANCE_SCHEMA if self.relevance_only else CRITERIA_SCHEMA
        try:
            prompt = self._filled(problem)
            text = (await self.model.generate(prompt, max_new_tokens=_MAX_NEW_TOKENS, schema=schema)).text
        except ReplyError as error:
            text = error.reply  # may hold too many criteria, or a weight out of range
        rubric = self._read(text)
        if rubric is None:
            raise ReplyError(f"it names nothing that can be used; it began with {text[:80]!r}", text)
        return rubric

    def _filled(self, problem: str = "") -> Prompt:
        return render(self.prompt, query=self.query, problem=problem)

    def _read(self, text: str) -> Rubric | None:
        try:
            value: Any = json.loads(text)
        except ValueError:
            return None
        if self.relevance_only:
            relevance = read_relevance(value)
            return None if relevance is None else Rubric(relevance, (), inferred=True)
        criteria = read_criteria(value)
        if not criteria:
            return None
        return Rubric(RELEVANCE, criteria, inferred=True, left_out=len(value["criteria"]) - len(criteria))
