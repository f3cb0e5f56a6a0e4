"""The decoding loop: one batch of prompts, each row with its own sampling, stop texts and constraint.

Finished rows leave the batch at once, so short answers never wait for long ones.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ragkit.errors import RagkitError
from ragkit.models.constrained import Constraint
from ragkit.models.reading import Reading

ToText = Callable[[Sequence[int]], str]

NOT_A_NUMBER = "the model's scores are not numbers (NaN): try dtype: float32"

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


def decode(reading: Reading, rows: Sequence[Row], end_ids: frozenset[int], to_text: ToText) -> None:
    """Go on from the prompts that were read until every row has ended; fills the rows' tokens, finish and error."""
    active = list(rows)
    while True:
        tokens = advance(reading.scores, active, end_ids, to_text)
        keep = [position for position, row in enumerate(active) if row.active]
        if not keep:
            return
        if len(keep) < len(active):
            active = [active[position] for position in keep]
            tokens = tokens[keep]
            reading.select(keep)
        reading.read(tokens[:, None])


def advance(logits: Any, rows: Sequence[Row], end_ids: frozenset[int], to_text: ToText) -> Any:
    """Give each row its next token, and return the tokens, shape (rows,).

    Args:
        logits: scores of the next token of each row, shape (rows, tokens), float32.
        rows: those that still take tokens.
        end_ids: tokens that end a text.
        to_text: decodes tokens.
    """
    tokens, logprobs = _pick(logits, rows)
    for row, token, logprob in zip(rows, tokens.tolist(), logprobs.tolist(), strict=True):
        if row.error is None:
            _add(row, token, logprob, end_ids, to_text)
    return tokens


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
