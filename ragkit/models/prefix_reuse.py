"""Score continuations of prompts that begin alike, each prompt read only from where it leaves the one before it.

A behaviour curve asks about contexts that differ in their last fragments; what a network remembers of the first ones is
kept from prompt to prompt.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from ragkit.models.choosing import score_choices
from ragkit.models.reading import NetworkReading, common_prefix, shared_prefix

_WORTH = 2


def worth_reusing(network: Any, prompts: Sequence[list[int]]) -> bool:
    """Say whether reading prompts in turn takes at most half of the tokens that a padded batch takes.

    Soft prompts and models that look back through a window only are left alone: what they remember cannot be cut.
    """
    if network.soft_prompt is not None or getattr(network.config.get_text_config(), "sliding_window", None):
        return False
    longest = max(map(len, prompts))
    together = len(prompts) * (longest - shared_prefix(network, prompts))
    ordered = sorted(prompts)
    in_turn = len(ordered[0]) + sum(len(prompt) - _kept(before, prompt) for before, prompt in pairwise(ordered))
    return len(prompts) > 1 and _WORTH * in_turn <= together


def score_in_turn(
    network: Any, prompts: Sequence[list[int]], choices: Sequence[list[list[int]]], pad_id: int
) -> list[list[float]]:
    """Return what `score_choices` returns, reading the prompts one after the other in lexical order.

    Args:
        network: who reads; `worth_reusing` says whether it can.
        prompts: token ids of each prompt.
        choices: for each prompt the token ids of its continuations.
        pad_id: token to pad with.
    """
    import torch

    scores: list[list[float]] = [[] for _ in prompts]
    reading: NetworkReading | None = None
    before: list[int] = []
    for row in sorted(range(len(prompts)), key=lambda number: prompts[number]):
        prompt = prompts[row]
        kept = _kept(before, prompt)
        if reading is None or kept == 0:
            reading = NetworkReading(network, [prompt], pad_id)
        else:
            reading.rewind(kept)
            reading.read(torch.tensor([prompt[kept:]], device=network.device))
        before = prompt
        (scores[row],) = score_choices(reading, [choices[row]], pad_id)
    return scores


def _kept(before: list[int], prompt: list[int]) -> int:
    """Return how many tokens need not be read again; the last one always is, for what follows it."""
    return min(common_prefix(before, prompt), len(prompt) - 1)
