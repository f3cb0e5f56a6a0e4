"""How passages are put before a model, and how it is asked once more."""

import unicodedata
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import NamedTuple, TypeVar

from ragkit.engine.state import Passage
from ragkit.errors import ReplyError
from ragkit.models.base import LanguageModel, Prompt
from ragkit.prompts import quoted
from ragkit.stages.multicriteria.replies import Scores
from ragkit.stages.spending import Price

T = TypeVar("T")


class Scored(NamedTuple):
    """What the passages of one question scored.

    Attributes:
        scores: by position.
        left_out: positions that the model saw and never scored, which says that they are not worth keeping.
        unread: positions that were asked about, but no reply could be read.
        skipped: entries of replies that could not be used.
    """

    scores: dict[int, Scores]
    left_out: frozenset[int] = frozenset()
    unread: frozenset[int] = frozenset()
    skipped: int = 0


_LONGEST_FIELD = 200
_LONGEST_PROBLEM = 200

REPAIR = Price(0, 150)
"""What a second call takes beside the first one's price: the words that say what was wrong."""


async def ask_twice(ask: Callable[[str], Awaitable[T]], may_repeat: Callable[[], bool]) -> T | None:
    """Return what a reply says; if it cannot be read, ask once more and say why; None if that fails too.

    Args:
        ask: makes a call and reads the reply; it is given what was wrong with the one before, or nothing.
        may_repeat: says whether a second call may be made.
    """
    try:
        return await ask("")
    except ReplyError as error:
        problem = " ".join(str(error).split())[:_LONGEST_PROBLEM]
    if not may_repeat():
        return None
    try:
        return await ask(problem)
    except ReplyError:
        return None


def shown_query(query: str) -> str:
    """Return a query as it stands in a prompt: as it is, or as a JSON string if it has line breaks of its own."""
    return query if query.isprintable() else quoted(query)


def normalised(query: str) -> str:
    """Return a query without differences that say nothing, so that equal ones share their criteria."""
    return shown_query(" ".join(unicodedata.normalize("NFC", query).split()))


def shown_passage(passage: Passage, text: str, fields: Sequence[str]) -> str:
    """Return a passage as a JSON object on one line, the metadata fields that it has before its text.

    Nothing in a passage can end its line, so no text of it can pass for a number, a further passage or a reply.
    """
    known = {
        field: str(value)[:_LONGEST_FIELD]
        for field in fields
        if isinstance(value := passage.metadata.get(field), (str, int, float)) and str(value).strip()
    }
    return quoted(known | {"text": text})


async def cut(model: LanguageModel, text: str, tokens: int | None) -> str:
    """Return the beginning of a text that has at most so many tokens, cut between words where there are any."""
    if tokens is None or len(text.encode()) <= tokens:  # no tokenizer makes more tokens than bytes
        return text
    while (size := await model.count_tokens(text)) > tokens:
        shorter = text[: min(len(text) - 1, max(1, len(text) * tokens // size))]
        text = shorter.rpartition(" ")[0].rstrip() or shorter
        if len(text) == 1:
            break
    return text


async def count_prompt(model: LanguageModel, prompt: Prompt) -> int:
    """Return the number of tokens of a prompt, without those that a chat template adds."""
    text = prompt if isinstance(prompt, str) else "\n".join(message["content"] for message in prompt)
    return await model.count_tokens(text)


def orders(batch: Sequence[int], count: int) -> list[list[int]]:
    """Return several orders of a batch: as it is, reversed, then shuffled, always the same way."""
    made = [list(batch), list(reversed(batch))][:count]
    for seed in range(2, count):
        made.append(Random(seed).sample(list(batch), len(batch)))  # noqa: S311 - an order is no secret
    return made
