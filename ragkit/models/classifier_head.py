"""A classifier of texts and of pairs of texts, made of an encoder."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.models.adapters import CLASSIFIER_SETTINGS
from ragkit.models.pair_scorer import PairReader, mean_of

_HIDDEN = 64
_SHARPNESS = 20.0
"""By what cosines of tokens are multiplied before the softmax that aligns them."""


class ClassifierHead(PairReader):
    """Tells how probable each of some labels is for a text, or for a pair of texts.

    A small network reads the mean vectors of both texts, their difference and product, and how the tokens of the first
    text differ from what they are aligned with in the second one: the mean and the largest difference over the tokens.
    What two long texts share hides in their means that one word turns a claim into its opposite; the largest difference
    of a token shows it. A single text is the second of a pair whose first is empty.

    Source: the features are those of Conneau et al. 2017 (InferSent), arXiv 1705.02364, and of the alignment of Parikh
    et al. 2016 (decomposable attention), arXiv 1606.01933.

    Args:
        network: a BERT-like encoder of transformers.
        tokenizer: its tokenizer.
        labels: names of the outputs, in order.
        query_length: the most tokens of the first text, the statement of a pair.
        passage_length: the most tokens of the second text.
        damping: added to the attention logits between the two texts.
    """

    weights_name = "classifier.safetensors"
    settings_name = CLASSIFIER_SETTINGS

    def __init__(
        self,
        network: Any,
        tokenizer: Any,
        *,
        labels: Sequence[str],
        query_length: int,
        passage_length: int,
        damping: float,
    ) -> None:
        super().__init__(
            network,
            tokenizer,
            query_length=query_length,
            passage_length=passage_length,
            damping=damping,
            labels=list(labels),
        )
        self.inner = nn.Linear(6 * network.config.hidden_size, _HIDDEN)
        self.outer = nn.Linear(_HIDDEN, len(labels))
        nn.init.zeros_(self.outer.bias)

    def score(self, hidden: Tensor, query: Tensor, passage: Tensor) -> Tensor:
        unit = functional.normalize(hidden, dim=-1)
        likeness = (unit @ unit.transpose(1, 2)).masked_fill(~passage[:, None, :], -1.0)
        aligned = (likeness * _SHARPNESS).softmax(-1) @ hidden
        apart = (hidden - aligned).abs() * query[..., None]
        one = functional.normalize(mean_of(hidden, query), dim=-1)
        other = functional.normalize(mean_of(hidden, passage), dim=-1)
        both = torch.cat([one, other, (one - other).abs(), one * other], dim=-1) * hidden.shape[-1] ** 0.5
        read = torch.cat([both, apart.sum(1) / query.sum(1, keepdim=True), apart.amax(1)], dim=-1)
        scores: Tensor = self.outer(functional.gelu(self.inner(read)))
        return scores
