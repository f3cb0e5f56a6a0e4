"""Log-probabilities of fixed texts as continuations of prompts, with each prompt read once."""

from collections.abc import Sequence
from typing import Any

from ragkit.models.decoding import forward, left_pad


def score_choices(
    model: Any, prompts: Sequence[list[int]], choices: Sequence[list[list[int]]], pad_id: int
) -> list[list[float]]:
    """Return the log-probability of each choice: the sum over its tokens.

    Args:
        model: a causal language model.
        prompts: token ids of each prompt.
        choices: for each prompt the token ids of its choices, at least one token each.
        pad_id: token to pad with.
    """
    import torch

    ids, mask = left_pad(prompts, pad_id, model.device)
    output = forward(model, ids, mask, None, keep_logits=1)
    first = torch.log_softmax(output.logits[:, -1].float(), dim=-1)
    scores = [[first[row, tokens[0]].item() for tokens in row_choices] for row, row_choices in enumerate(choices)]
    longer = [
        (row, number)
        for row, row_choices in enumerate(choices)
        for number, tokens in enumerate(row_choices)
        if len(tokens) > 1
    ]
    if not longer:
        return scores
    # One copy of the prompt's cache for each choice of several tokens. Right padding does no harm after the prompt:
    # a position only sees what stands before it.
    of_rows = torch.tensor([row for row, _ in longer], device=model.device)
    past = output.past_key_values
    past.batch_select_indices(of_rows)
    tails = [choices[row][number] for row, number in longer]
    longest = max(len(tail) for tail in tails) - 1
    inputs = torch.tensor([tail[:-1] + [pad_id] * (longest - len(tail) + 1) for tail in tails], device=model.device)
    seen = torch.cat([mask[of_rows], mask.new_ones(len(longer), longest)], dim=1)
    logprobs = torch.log_softmax(forward(model, inputs, seen, past, keep_logits=longest).logits.float(), dim=-1)
    for position, ((row, number), tail) in enumerate(zip(longer, tails, strict=True)):
        after_first = torch.tensor(tail[1:], device=model.device)
        scores[row][number] += logprobs[position, torch.arange(len(tail) - 1), after_first].sum().item()
    return scores
