"""Drafts of a response: several samples of one prompt, and which of them is the best."""

import asyncio
from collections.abc import Sequence
from typing import Any

from ragkit.engine.state import Documents
from ragkit.models.base import LanguageModel, Prompt


async def draw(
    model: LanguageModel, prompt: Prompt, samples: int, max_new_tokens: int, temperature: float, seed: int
) -> list[str]:
    """Return samples of what a model writes, in the order of their draws; the same seed gives the same ones."""
    # A text would go on with a further example after the response; a chat model ends its turn itself.
    stop = ["\n\n"] if isinstance(prompt, str) else []
    generations = await asyncio.gather(
        *(
            model.generate(
                prompt, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed, draw=number, stop=stop
            )
            for number in range(samples)
        )
    )
    return [generation.text.strip() for generation in generations]


def best_of(earned: Sequence[float]) -> int:
    """Return the index of the highest reward, of equal ones the first."""
    return max(range(len(earned)), key=lambda index: (earned[index], -index))


def worst_of(earned: Sequence[float]) -> int:
    """Return the index of the lowest reward, of equal ones the first."""
    return min(range(len(earned)), key=lambda index: (earned[index], index))


def columns_of_claim(claim: str, documents: Documents) -> dict[str, Any]:
    """Return what rewards judge a response by: the claim as `question`, and the texts of its evidence."""
    return {"question": claim, "passages": [passage.page_content for passage in documents]}
