"""Log-probabilities of fixed texts as continuations of prompts, with each prompt read once."""

from collections.abc import Sequence

from ragkit.models.reading import Reading


def score_choices(reading: Reading, choices: Sequence[list[list[int]]], pad_id: int) -> list[list[float]]:
    """Return the log-probability of each choice: the sum over all of its tokens, so shared first tokens do no harm.

    Args:
        reading: the prompts, as a model has read them.
        choices: for each prompt the token ids of its choices, at least one token each.
        pad_id: token to pad with.
    """
    import torch

    first = torch.log_softmax(reading.scores, dim=-1)
    scores = [[first[row, tokens[0]].item() for tokens in row_choices] for row, row_choices in enumerate(choices)]
    longer = [
        (row, number)
        for row, row_choices in enumerate(choices)
        for number, tokens in enumerate(row_choices)
        if len(tokens) > 1
    ]
    if not longer:
        return scores
    # One copy of the prompt's memory for each choice of several tokens. Right padding does no harm after the prompt:
    # a position only sees what stands before it.
    reading.select([row for row, _ in longer])
    tails = [choices[row][number] for row, number in longer]
    longest = max(len(tail) for tail in tails) - 1
    inputs = torch.tensor([tail[:-1] + [pad_id] * (longest - len(tail) + 1) for tail in tails], device=first.device)
    logprobs = torch.log_softmax(reading.read(inputs, keep=longest), dim=-1)
    for position, ((row, number), tail) in enumerate(zip(longer, tails, strict=True)):
        after_first = torch.tensor(tail[1:], device=first.device)
        scores[row][number] += logprobs[position, torch.arange(len(tail) - 1), after_first].sum().item()
    return scores
