"""Prompts read by a network, and what it expects next: the passes that decoding and choosing are made of."""

from collections.abc import Callable, Sequence
from functools import cache
from inspect import signature
from typing import Any, Protocol

from ragkit.models.resident import Network

_FEWEST_SHARERS = 2
_SHORTEST_SHARED = 32


class Reading(Protocol):
    """A batch of texts that is being read.

    Attributes:
        scores: of each next token after what has been read, shape (rows, tokens), float32.
    """

    scores: Any

    def read(self, ids: Any, keep: int = 1) -> Any:
        """Read on.

        Args:
            ids: further token ids, shape (rows, new tokens).
            keep: for how many of the last new tokens scores are wanted.

        Returns:
            Scores of the token that follows each of them, shape (rows, keep, tokens), float32.
        """
        ...

    def select(self, rows: Sequence[int]) -> None:
        """Go on with some of the rows only, or with several copies of a row."""
        ...


class NetworkReading:
    """A batch of prompts in the memory of one network.

    What all prompts have in common, a soft prompt before them included, is read once.

    Args:
        network: who reads.
        prompts: token ids of each prompt.
        pad_id: token to pad with.
    """

    def __init__(self, network: Network, prompts: Sequence[list[int]], pad_id: int) -> None:
        self._network = network
        self._past: Any = None
        shared = shared_prefix(network, prompts)
        ids, mask = left_pad([prompt[shared:] for prompt in prompts], pad_id, network.device)
        self._mask = mask[:1, :0]
        if network.soft_prompt is not None:
            self._pass({"inputs_embeds": network.soft_prompt[None]}, network.virtual_tokens)
        if shared:
            self._pass({"input_ids": ids.new_tensor([prompts[0][:shared]])}, shared)
        if self._past is not None:
            self._past.batch_repeat_interleave(len(prompts))
        self._mask = self._mask.expand(len(prompts), -1)
        self.scores = self._pass({"input_ids": ids}, mask)[:, -1]

    def read(self, ids: Any, keep: int = 1) -> Any:
        scores = self._pass({"input_ids": ids}, ids.shape[1], keep)
        self.scores = scores[:, -1]
        return scores

    def select(self, rows: Sequence[int]) -> None:
        import torch

        kept = torch.tensor(list(rows), device=self._network.device)
        self._past.batch_select_indices(kept)
        self._mask = self._mask[kept]
        self.scores = self.scores[kept]

    def rewind(self, length: int) -> None:
        """Go on with the first row alone, as if only its first tokens had been read; scores follow with the next read.

        Not for networks with a soft prompt or with a window.
        """
        import torch

        self._past.batch_select_indices(torch.zeros(1, dtype=torch.long, device=self._network.device))
        self._past.crop(length)
        self._mask = self._mask[:1, :length]

    def _pass(self, inputs: dict[str, Any], seen: Any, keep: int = 1) -> Any:
        """Make a pass over new tokens; `seen` is their mask, or how many there are if all of them count."""
        import torch

        if isinstance(seen, int):
            seen = self._mask.new_ones(len(self._mask), seen)
        self._mask = mask = torch.cat([self._mask, seen], dim=1)
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -seen.shape[1] :]
        options = {"position_ids": positions, "logits_to_keep": keep}
        known = _parameters(type(self._network.weights).forward)
        options = {name: value for name, value in options.items() if name in known}
        output = self._network.run(**inputs, attention_mask=mask, past_key_values=self._past, use_cache=True, **options)
        self._past = output.past_key_values
        return output.logits[:, -keep:].float()


def shared_prefix(network: Any, prompts: Sequence[list[int]]) -> int:
    """Return how many first tokens all prompts have in common and are worth computing once (0 if they are not).

    Instructions and examples at the head of a prompt are often longer than what follows. Every prompt keeps at least
    one token of its own. Models that look back through a window only are left alone.
    """
    if len(prompts) < _FEWEST_SHARERS or getattr(network.config.get_text_config(), "sliding_window", None):
        return 0
    first, last = min(prompts), max(prompts)  # in lexical order, all others lie between these two
    limit = min(len(prompt) for prompt in prompts) - 1
    return common if (common := min(common_prefix(first, last), limit)) >= _SHORTEST_SHARED else 0


def common_prefix(first: Sequence[int], last: Sequence[int]) -> int:
    """Return how many first tokens two prompts have in common."""
    shorter = min(len(first), len(last))
    return next((n for n in range(shorter) if first[n] != last[n]), shorter)


def left_pad(sequences: Sequence[Sequence[int]], pad_id: int, device: Any) -> tuple[Any, Any]:
    """Return token ids and attention mask, both of shape (sequences, longest), padded on the left."""
    import torch

    longest = max(len(sequence) for sequence in sequences)
    ids = torch.tensor([[pad_id] * (longest - len(s)) + list(s) for s in sequences], device=device)
    mask = torch.tensor([[0] * (longest - len(s)) + [1] * len(s) for s in sequences], device=device)
    return ids, mask


@cache
def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    """Return a function's parameters; not every architecture takes positions (ALiBi) or can leave scores out."""
    return frozenset(signature(function).parameters)
