"""Rerank by having a language model order passages, window by window."""

import asyncio
import json
import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ragkit.engine.calls import flag
from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Documents
from ragkit.errors import ReplyError
from ragkit.models.base import LanguageModel, Prompt
from ragkit.prompts import prompt_setting, quoted, render
from ragkit.stages.multicriteria.asking import count_prompt, cut, shown_query
from ragkit.stages.spending import Budget, Price, Purse

UNREADABLE = "rerank.llm_listwise:unreadable"
"""Flag of a question with a window of which no order could be read, so that it stayed as it was."""

_NUMBER = re.compile(r"\d+")


@stage("rerank.llm_listwise", writes="documents")
class RerankListwise(Stage):
    """Order passages by a language model that sees a window of them at a time, from the end of the ranking to its top.

    Each window is put into the model's order and the next one overlaps it, so that the best passages move to the top
    window by window. Numbers that a reply leaves out follow the others in their old order; a reply without any leaves
    its window as it was and flags the question. A passage's score is 1 / its new rank.

    `budget` is spent from the top: it says how many windows there are, and so how deep the ranking is looked at;
    what is left goes into further passes.

    Source: Sun et al. 2023 (RankGPT), arXiv 2304.09542, section 3.2.
    """

    model: LanguageModel
    window: int = Field(20, ge=2, description="passages in one prompt")
    step: int = Field(10, ge=1, description="passages by which the window moves")
    passes: int = Field(1, ge=1, description="how often the ranking is gone through")
    k: int | None = Field(None, ge=1, description="passages to keep; all by default")
    form: Literal["json", "text"] = Field(
        "json", description="json: a list of numbers under a schema | text: `[2] > [1]`, for models trained to rank"
    )
    passage_tokens: int | None = Field(300, ge=1, description="tokens after which a passage is cut; null for never")
    budget: Budget | None = Field(None, description="the most to spend on one question")
    prompt: Annotated[str, prompt_setting("query", "passages", "form", needs=("query", "passages"))] = Field(
        "rerank.llm_listwise", description="packaged prompt, or path of a .jinja file"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.step >= self.window:
            raise ValueError(f"step ({self.step}) has to be less than window ({self.window}), so that windows overlap")
        return self

    async def run(self, question: str, documents: Documents) -> Documents:
        """Return the passages in the model's order."""
        order = list(range(len(documents)))
        if len(documents) > 1:
            order = await self._order(question, documents)
        ranked = enumerate(order[: self.k], start=1)
        return tuple(documents[position].model_copy(update={"score": 1 / rank}) for rank, position in ranked)

    async def _order(self, question: str, documents: Documents) -> list[int]:
        order = list(range(len(documents)))
        purse, query = Purse(self.budget), shown_query(question)
        cutting = (cut(self.model, document.page_content, self.passage_tokens) for document in documents)
        texts = [quoted(text) for text in await asyncio.gather(*cutting)]
        for _ in range(self.passes):
            for start in await self._starts(query, [texts[position] for position in order], purse):
                seen = order[start : start + self.window]
                numbers = await self._ask(query, [texts[position] for position in seen])
                order[start : start + self.window] = [seen[number] for number in numbers]
        return order

    async def _starts(self, query: str, texts: Sequence[str], purse: Purse) -> list[int]:
        """Return where the windows begin that the budget reaches, in the order in which they are asked: from below."""
        ends = range(self.window, len(texts) + self.step, self.step)
        starts = [max(0, min(end, len(texts)) - self.window) for end in ends] or [0]
        prices = await asyncio.gather(*(self._price(query, texts[s : s + self.window], purse) for s in starts))
        return list(reversed(starts[: purse.take_first(prices)]))

    async def _price(self, query: str, texts: Sequence[str], purse: Purse) -> Price:
        if not purse.counts_tokens:
            return Price(1, 0)
        return Price(1, await count_prompt(self.model, self._filled(query, texts)) + _longest_reply(len(texts)))

    def _filled(self, query: str, texts: Sequence[str]) -> Prompt:
        return render(self.prompt, query=query, passages=texts, form=self.form)

    async def _ask(self, query: str, texts: Sequence[str]) -> list[int]:
        """Return the positions of the passages of a window in the model's order."""
        prompt, limit = self._filled(query, texts), _longest_reply(len(texts))
        try:
            if self.form == "text":
                reply = (await self.model.generate(prompt, max_new_tokens=limit)).text
            else:
                schema = ranking_schema(len(texts))
                reply = (await self.model.generate(prompt, max_new_tokens=limit, schema=schema)).text
        except ReplyError as error:
            reply = error.reply
        named = read_ranking(reply, len(texts))
        if not named:
            flag(UNREADABLE)
        return named + [position for position in range(len(texts)) if position not in named]


def read_ranking(reply: str, count: int) -> list[int]:
    """Return the positions, from 0, that a reply names by numbers from 1 to `count`, each the first time.

    As JSON, or as text in the form `[2] > [1]`; what is no such number is passed over.
    """
    try:
        value: Any = json.loads(reply)
    except ValueError:
        numbers: Iterable[Any] = map(int, _NUMBER.findall(reply))
    else:
        listed = value.get("ranking") if isinstance(value, dict) else value
        numbers = listed if isinstance(listed, list) else ()
    valid = (n for n in numbers if isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= count)
    return [number - 1 for number in dict.fromkeys(valid)]


def ranking_schema(count: int) -> dict[str, Any]:
    """Return the JSON Schema of a ranking of passages 1 to `count`."""
    numbers = {"type": "integer", "minimum": 1, "maximum": count}
    return {
        "type": "object",
        "properties": {"ranking": {"type": "array", "items": numbers, "minItems": 1, "maxItems": count}},
        "required": ["ranking"],
        "additionalProperties": False,
    }


def _longest_reply(count: int) -> int:
    """Return the tokens of a ranking; a number with its separator takes four to six."""
    return 16 + 8 * count
