"""The decoding loop: one batch of prompts, each row with its own sampling, stop texts and constraint.

Finished rows leave the batch at once, so short answers never wait for long ones.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from inspect import signature
from typing import Any, Literal

import numpy as np

from ragkit.errors import RagkitError
from ragkit.models.constrained import Constraint

ToText = Callable[[Sequence[int]], str]

NOT_A_NUMBER = "the model's scores are not numbers (NaN): try dtype: float32"

_FEWEST_SHARERS = 2
_SHORTEST_SHARED = 32

# A stop text can begin inside a token and follow special tokens; some decoders also drop a window's first space.
_STOP_WINDOW_SLACK = 8


@dataclass(slots=True)
class Row:
    """One generation on its way through the decoding loop.

    Attributes:
        prompt: token ids.
        temperature: 0 is greedy.
        generator: torch generator for sampling; the row's alone, so its draws do not depend on its batch.
        stop: texts that end the generation.
        tokens: generated so far, the end token included.
        logprob: sum of the generated tokens' log-probabilities under the model itself: at temperature 1, and before
            a constraint takes tokens away.
        finish: why the row ended; None while it goes on.
        error: what went wrong with this row alone.
    """

    prompt: list[int]
    max_new_tokens: int
    temperature: float = 0.0
    generator: Any = None
    stop: tuple[str, ...] = ()
    constraint: Constraint | None = None
    tokens: list[int] = field(default_factory=list)
    logprob: float = 0.0
    finish: Literal["stop", "length"] | None = None
    error: RagkitError | None = None

    @property
    def active(self) -> bool:
        """Whether the row still takes tokens."""
        return self.finish is None and self.error is None

    def text(self, to_text: ToText) -> str:
        """Return the generated text up to the first stop text."""
        return cut_at_stop(to_text(self.tokens), self.stop)[0]


def cut_at_stop(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """Return the text before the first stop text, and whether there was one."""
    found = [position for position in map(text.find, stop) if position >= 0]
    return (text[: min(found)], True) if found else (text, False)


def decode(model: Any, rows: Sequence[Row], end_ids: frozenset[int], pad_id: int, to_text: ToText) -> None:
    """Generate all rows as one left-padded batch; fills their tokens, finish and error."""
    import torch

    shared = shared_prefix(model, [row.prompt for row in rows])
    ids, mask = left_pad([row.prompt[shared:] for row in rows], pad_id, model.device)
    active = list(rows)
    past = None
    if shared:
        past = _prefill(model, rows[0].prompt[:shared], len(rows))
        mask = torch.cat([mask.new_ones(len(rows), shared), mask], dim=1)
    while active:
        output = forward(model, ids, mask, past, keep_logits=1)
        past = output.past_key_values
        tokens, logprobs = _pick(output.logits[:, -1].float(), active)
        for row, token, logprob in zip(active, tokens.tolist(), logprobs.tolist(), strict=True):
            if row.error is None:
                _add(row, token, logprob, end_ids, to_text)
        keep = [position for position, row in enumerate(active) if row.active]
        if keep and len(keep) < len(active):
            active = [active[position] for position in keep]
            kept = torch.tensor(keep, device=model.device)
            tokens, mask = tokens[kept], mask[kept]
            past.batch_select_indices(kept)
        elif not keep:
            break
        ids = tokens[:, None]
        mask = torch.cat([mask, mask.new_ones(len(active), 1)], dim=1)


def shared_prefix(model: Any, prompts: Sequence[list[int]]) -> int:
    """Return how many first tokens all prompts have in common and are worth computing once (0 if they are not).

    Instructions and examples at the head of a prompt are often longer than what follows. Every prompt keeps at least
    one token of its own. Models that look back through a window only are left alone.
    """
    if len(prompts) < _FEWEST_SHARERS or getattr(model.config.get_text_config(), "sliding_window", None):
        return 0
    first, last = min(prompts), max(prompts)  # in lexical order, all others lie between these two
    limit = min(len(prompt) for prompt in prompts) - 1
    common = next((n for n in range(min(len(first), len(last))) if first[n] != last[n]), len(first))
    return common if (common := min(common, limit)) >= _SHORTEST_SHARED else 0


def _prefill(model: Any, prefix: Sequence[int], copies: int) -> Any:
    """Return what the model remembers of a prefix, once for each row."""
    import torch

    ids = torch.tensor([list(prefix)], device=model.device)
    past = forward(model, ids, torch.ones_like(ids), None, keep_logits=1).past_key_values
    past.batch_repeat_interleave(copies)
    return past


def left_pad(sequences: Sequence[Sequence[int]], pad_id: int, device: Any) -> tuple[Any, Any]:
    """Return token ids and attention mask, both of shape (sequences, longest), padded on the left."""
    import torch

    longest = max(len(sequence) for sequence in sequences)
    ids = torch.tensor([[pad_id] * (longest - len(s)) + list(s) for s in sequences], device=device)
    mask = torch.tensor([[0] * (longest - len(s)) + [1] * len(s) for s in sequences], device=device)
    return ids, mask


def forward(model: Any, ids: Any, mask: Any, past: Any, keep_logits: int) -> Any:
    """Run the model on new tokens after what `past` holds; scores are kept for the last `keep_logits` positions."""
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    options = {"position_ids": positions, "logits_to_keep": keep_logits}
    known = _parameters(type(model).forward)
    options = {name: value for name, value in options.items() if name in known}
    return model(input_ids=ids, attention_mask=mask, past_key_values=past, use_cache=True, **options)


@cache
def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    """Return a function's parameters; not every architecture takes positions (ALiBi) or can leave scores out."""
    return frozenset(signature(function).parameters)


def _pick(logits: Any, rows: Sequence[Row]) -> tuple[Any, Any]:
    """Return the next token of each row and its log-probability, both of shape (rows,)."""
    import torch

    normaliser = logits.logsumexp(dim=-1)
    choosable = _constrain(logits, rows)
    tokens = choosable.argmax(dim=-1)
    for position, row in enumerate(rows):
        if row.temperature > 0:
            # The Gumbel-max form of sampling: rounding changes a token only where two are all but tied. Drawing from
            # cumulated probabilities instead would turn the rounding of all tokens before it into another token.
            noise = torch.empty_like(choosable[position]).exponential_(generator=row.generator)
            tokens[position] = (choosable[position] / row.temperature - noise.log()).argmax()
    return tokens, logits.gather(1, tokens[:, None]).squeeze(1) - normaliser


def _constrain(logits: Any, rows: Sequence[Row]) -> Any:
    """Return the scores with the tokens that rows' constraints forbid at minus infinity."""
    import torch

    constrained = [position for position, row in enumerate(rows) if row.constraint is not None]
    if not constrained:
        return logits
    allowed = np.ones(tuple(logits.shape), dtype=bool)
    for position in constrained:
        row = rows[position]
        try:
            allowed[position] = row.constraint.allowed(logits.shape[1])  # type: ignore[union-attr]
        except RagkitError as error:
            row.error = error
    return logits.masked_fill(~torch.from_numpy(allowed).to(logits.device), float("-inf"))


def _add(row: Row, token: int, logprob: float, end_ids: frozenset[int], to_text: ToText) -> None:
    """Give a row its next token, and see whether that ends it."""
    if math.isnan(logprob):
        row.error = RagkitError(NOT_A_NUMBER)
        return
    row.tokens.append(token)
    row.logprob += logprob
    if token in end_ids:
        row.finish = "stop"
        return
    if row.constraint is not None:
        try:
            row.constraint.add(token)
        except RagkitError as error:
            row.error = error
            return
    if (row.constraint is not None and row.constraint.exhausted) or _stopped(row, to_text):
        row.finish = "stop"
    elif len(row.tokens) >= row.max_new_tokens:
        row.finish = "length"


def _stopped(row: Row, to_text: ToText) -> bool:
    """Whether the last token completed a stop text; only then is the whole text decoded."""
    if not row.stop:
        return False
    window = max(len(stop.encode()) for stop in row.stop) + _STOP_WINDOW_SLACK
    return cut_at_stop(to_text(row.tokens[-window:]), row.stop)[1] and cut_at_stop(to_text(row.tokens), row.stop)[1]
