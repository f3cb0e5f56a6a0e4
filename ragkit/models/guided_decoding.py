"""Decoding guided by further models: one sum of scores for proxy-tuning, EFT, GenARM and context contrast.

At every step the scores of the next token are `z = z_model + sum_i w_i z_i`, where each guide `i` has weights, an
adapter and a prompt of its own. Whether the z are logits or log-probabilities makes no difference: the two differ by a
constant per row, which the softmax takes away. So this one sum is

- proxy-tuning: `[{tuned, 1}, {untuned, -1}]`, both small, on a large model;
- emulated fine-tuning (EFT): the same, with several such pairs and other weights to trade behaviours;
- GenARM: `[{autoregressive reward model, 1}, ...]`;
- context contrast: `[{weight: a}, {prompt: contrast, weight: -a}]`, the same model without the passages.

Source: Liu et al. 2024 (proxy-tuning), arXiv 2401.08565; Mitchell et al. 2023 (EFT), arXiv 2310.12962; Xu et al. 2025
(GenARM), arXiv 2410.08193; Shi et al. 2023 (context-aware decoding), arXiv 2305.14739.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from ragkit.engine.component import Component
from ragkit.errors import InputError
from ragkit.models.reading import Reading


class Guide(Component):
    """A model whose scores are added while another one writes.

    Attributes:
        model: `embedded:<name>`, a local folder or a hub id; None is the model that writes.
        revision: commit, branch or tag of a hub model.
        adapter: folder of a PEFT adapter, or `embedded:<name>`; None is the model without an adapter.
        chat: like the model's own setting, for a guide with another model; a chat model guides one that continues text.
        prompt: `same`, or `contrast` for the second prompt that a stage gives, e.g. the question without passages.
        weight: what its scores are multiplied with.
    """

    model: str | None = None
    revision: str | None = None
    adapter: str | None = None
    chat: bool | None = None
    prompt: Literal["same", "contrast"] = "same"
    weight: float = Field(allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Voice:
    """One term of the sum of scores: who reads which prompt.

    Attributes:
        merge: whether the adapter is merged into weights of its own.
    """

    model: str
    revision: str | None
    adapter: str | None
    chat: bool | None
    prompt: Literal["same", "contrast"] = "same"
    merge: bool = False


def weigh(own: Voice, guides: Sequence[Guide]) -> dict[Voice, float]:
    """Return the weight of each voice, the model's own first; equal voices are one, and are computed once.

    Raises:
        InputError: the weights cancel out, so that nothing would be left of any voice.
    """
    weights = {own: 1.0}
    for guide in guides:
        if guide.model is None:
            voice = Voice(own.model, own.revision, guide.adapter, own.chat, guide.prompt)
        else:
            voice = Voice(guide.model, guide.revision, guide.adapter, guide.chat, guide.prompt)
        weights[voice] = weights.get(voice, 0.0) + guide.weight
    if not any(weights.values()):
        raise InputError(f"the guides of '{own.model}' take away all that it says: their weights cancel out to 0")
    return weights


class GuidedReading:
    """Several readings of a batch, row by row of the same texts to come, whose scores are added up.

    Args:
        readings: one per voice, each of its own prompts.
        weights: of each reading.
        width: how many tokens all of them score; what a guide's larger vocabulary has beyond is left out.
    """

    def __init__(self, readings: Sequence[Reading], weights: Sequence[float], width: int) -> None:
        self._readings = readings
        self._weights = weights
        self._width = width
        self.scores = self._sum([reading.scores for reading in readings])

    def read(self, ids: Any, keep: int = 1) -> Any:
        scores = self._sum([reading.read(ids, keep) for reading in self._readings])
        self.scores = scores[:, -1]
        return scores

    def select(self, rows: Sequence[int]) -> None:
        for reading in self._readings:
            reading.select(rows)
        self.scores = self.scores[list(rows)]

    def _sum(self, parts: Sequence[Any]) -> Any:
        pairs = zip(self._weights, parts, strict=True)
        return sum(weight * part[..., : self._width] for weight, part in pairs)


def check_vocabulary(model: str, vocabulary: Mapping[str, int], guide: str, other: Mapping[str, int]) -> None:
    """See that each token of a model has the same number in a guide, which may have further ones.

    Raises:
        InputError: a token differs; names both models.
    """
    for token, number in vocabulary.items():
        if other.get(token) != number:
            found = f"number {other[token]}" if token in other else "not known"
            raise InputError(
                f"'{guide}' cannot guide '{model}': their tokenizers differ. The token {token!r} is number {number} "
                f"of the model and {found} in the guide; both have to be of one family"
            )
