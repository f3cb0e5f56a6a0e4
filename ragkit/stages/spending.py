"""The dial of rerankers that ask a language model: how much of it one question may have."""

import math
from collections.abc import Sequence
from typing import NamedTuple, Self

from pydantic import Field, model_validator

from ragkit.engine.component import Component


class Budget(Component):
    """The most that a reranker may spend on one question; each stage says in which order it spends it.

    Calls are counted as they are made, answers from the cache included, so that a replay ranks the same. Tokens are
    counted before a call: those of its prompt (but for what a chat template adds) and of the longest reply that it may
    get.
    """

    model_calls: int | None = Field(None, ge=0, description="calls of the language model")
    tokens: int | None = Field(None, ge=0, description="tokens of prompts and of replies at their longest")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.model_calls is None and self.tokens is None:
            raise ValueError("name model_calls, tokens, or both")
        return self


class Price(NamedTuple):
    """What a step takes: calls, and tokens where they are counted."""

    calls: int
    tokens: int

    def __add__(self, other: "Price") -> "Price":  # type: ignore[override]
        return Price(self.calls + other.calls, self.tokens + other.tokens)


class Purse:
    """What is left of a budget while one question is ranked."""

    def __init__(self, budget: Budget | None) -> None:
        self._calls: float = math.inf if budget is None or budget.model_calls is None else budget.model_calls
        self._tokens: float = math.inf if budget is None or budget.tokens is None else budget.tokens

    @property
    def counts_tokens(self) -> bool:
        """Whether somebody has to say how many tokens a step takes."""
        return self._tokens < math.inf

    def holds(self, price: Price) -> bool:
        """Say whether there is enough left for a step."""
        return price.calls <= self._calls and price.tokens <= self._tokens

    def take(self, price: Price) -> bool:
        """Take the price of a step out, or say that there is not enough."""
        if not self.holds(price):
            return False
        self._calls -= price.calls
        self._tokens -= price.tokens
        return True

    def take_first(self, prices: Sequence[Price]) -> int:
        """Take the prices of steps out up to the first one that is too dear; return how many were taken."""
        for taken, price in enumerate(prices):
            if not self.take(price):
                return taken
        return len(prices)
