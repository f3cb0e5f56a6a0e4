"""Scores that a model writes, for a batch of passages in one prompt."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ragkit.errors import ReplyError
from ragkit.models.base import LanguageModel, Prompt
from ragkit.prompts import render
from ragkit.stages.multicriteria.asking import REPAIR, Scored, ask_twice, count_prompt, orders
from ragkit.stages.multicriteria.composite import mean_scores
from ragkit.stages.multicriteria.criteria import Criterion, Rubric
from ragkit.stages.multicriteria.replies import (
    CRITERION_TOP,
    REASON_CHARACTERS,
    RELEVANCE_TOP,
    Reading,
    Scores,
    read_lines,
    read_scores,
    scores_schema,
)
from ragkit.stages.spending import Price, Purse

Form = Literal["json", "lines"]
GIVEN = ("query", "passages", "relevance", "criteria", "form", "threshold", "reasoning", "problem")


@dataclass(frozen=True, slots=True)
class Written:
    """Scores the passages of one question by written replies.

    Attributes:
        passages: as they stand in prompts.
        size: passages of a batch.
        permutations: orders in which each batch is shown.
        threshold: what a prompt in the form `lines` says about leaving out.
    """

    model: LanguageModel
    prompt: str
    query: str
    passages: Sequence[str]
    form: Form
    reasoning: bool
    size: int
    permutations: int
    threshold: float
    max_new_tokens: int | None

    async def least(self, rubric: Rubric, purse: Purse) -> Price:
        """Return the price of the first batch."""
        return await self._price(range(len(self.passages))[: self.size], rubric, purse)

    async def score(self, rubric: Rubric, purse: Purse) -> Scored:
        """Score as many batches as the purse holds, then again in further orders."""
        count = len(self.passages)
        batches = [range(start, min(start + self.size, count)) for start in range(0, count, self.size)]
        arranged = [orders(batch, self.permutations) for batch in batches]
        wanted = [arrangement[number] for number in range(self.permutations) for arrangement in arranged]
        prices = await asyncio.gather(*(self._price(batch, rubric, purse) for batch in wanted))
        afforded = purse.take_first(prices)
        asked = wanted[:afforded]
        readings = await asyncio.gather(
            *(self._read(batch, rubric, purse, price) for batch, price in zip(asked, prices, strict=False))
        )
        several: dict[int, list[Scores | None]] = {}
        for batch, reading in zip(asked, readings, strict=True):
            if reading is not None:
                for number, position in enumerate(batch, start=1):
                    several.setdefault(position, []).append(reading.scores.get(number))
        left_out = frozenset(position for position, found in several.items() if not any(found))
        return Scored(
            {position: mean_scores(several[position]) for position in sorted(several.keys() - left_out)},
            left_out=left_out,
            unread=frozenset(position for batch in asked for position in batch) - several.keys(),
            skipped=sum(reading.skipped for reading in readings if reading is not None),
        )

    async def _read(self, batch: Sequence[int], rubric: Rubric, purse: Purse, price: Price) -> Reading | None:
        """Return what the model says about a batch, None if no reply can be read."""
        criteria = rubric.criteria
        count, limit = len(batch), self._longest_reply(len(batch), criteria)
        top = RELEVANCE_TOP + CRITERION_TOP * sum(criterion.weight for criterion in criteria)

        async def ask(problem: str) -> Reading:
            prompt = self._filled(batch, rubric, problem)
            if self.form == "lines":
                generation = await self.model.generate(prompt, max_new_tokens=limit)
                reading = read_lines(generation.text, count, top)
                if generation.finish == "length" and len(reading.scores) < count:
                    raise ReplyError(f"it was cut after {limit} tokens", generation.text)
                return reading
            schema = scores_schema(count, criteria, self.reasoning)
            try:
                generation = await self.model.generate(prompt, max_new_tokens=limit, schema=schema)
            except ReplyError as error:
                return _salvage(error, count, criteria, top)
            return read_scores(generation.text, count, criteria)

        return await ask_twice(ask, lambda: purse.take(price + REPAIR))

    def _filled(self, batch: Sequence[int], rubric: Rubric, problem: str = "") -> Prompt:
        return render(
            self.prompt,
            query=self.query,
            passages=[self.passages[position] for position in batch],
            relevance=rubric.relevance,
            criteria=rubric.criteria,
            form=self.form,
            threshold=f"{self.threshold:g}",
            reasoning=self.reasoning,
            problem=problem,
        )

    async def _price(self, batch: Sequence[int], rubric: Rubric, purse: Purse) -> Price:
        if not purse.counts_tokens:
            return Price(1, 0)
        prompt = await count_prompt(self.model, self._filled(batch, rubric))
        return Price(1, prompt + self._longest_reply(len(batch), rubric.criteria))

    def _longest_reply(self, passages: int, criteria: Sequence[Criterion]) -> int:
        """Return the tokens of a reply about a batch, generously: names may take a token for every two bytes."""
        if self.max_new_tokens is not None:
            return self.max_new_tokens
        if self.form == "lines":
            return 16 + 16 * passages
        names = sum(8 + math.ceil(len(criterion.name.encode()) / 2) for criterion in criteria)
        return 16 + passages * (24 + names + (REASON_CHARACTERS // 2 if self.reasoning else 0))


def _salvage(error: ReplyError, count: int, criteria: Sequence[Criterion], top: float) -> Reading:
    """Return what a reply that broke its schema says all the same: JSON with scores out of range, or the lines.

    Raises:
        ReplyError: it says nothing that can be used.
    """
    if not error.reply.strip():
        raise error
    try:
        return read_scores(error.reply, count, criteria)
    except ReplyError:
        reading = read_lines(error.reply, count, top)
    if not reading.scores:
        raise error
    return reading
