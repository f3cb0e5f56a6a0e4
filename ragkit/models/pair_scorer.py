"""A cross-encoder made of an encoder: it begins with the encoder's own ability, and is tuned from there."""

import json
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers.base.modules import InputModule
from torch import Tensor, nn
from torch.nn import functional

from ragkit.models.adapters import PAIR_SETTINGS

WEIGHTS = "pair_scorer.safetensors"

_NEVER = -1e4
_SCALE = 10.0
_HIDDEN = 64


class PairReader(InputModule):
    """Reads a query and a passage in one pass, each from position 0; what it makes of them is up to its subclasses.

    Attention from one text to the other is damped by `damping` nats: at a large negative value the texts do not see
    each other and each is read as the encoder reads it alone; training makes use of what gets through.

    Args:
        network: a BERT-like encoder of transformers.
        tokenizer: its tokenizer.
        query_length: the most tokens of a query; what is longer is cut.
        passage_length: the most tokens of a passage.
        damping: added to the attention logits between the two texts.
        further: settings of the subclass, which are saved too.
    """

    save_in_root = True
    weights_name: ClassVar[str]
    settings_name: ClassVar[str]

    def __init__(
        self, network: Any, tokenizer: Any, *, query_length: int, passage_length: int, damping: float, **further: Any
    ) -> None:
        super().__init__()
        self.model = network
        self.tokenizer = tokenizer
        lengths = {"query_length": query_length, "passage_length": passage_length}
        self.settings: dict[str, Any] = {**lengths, "damping": damping, **further}

    @property
    def max_seq_length(self) -> int:
        """The most tokens of a pair."""
        return int(self.settings["query_length"] + self.settings["passage_length"])

    def preprocess(self, inputs: Sequence[Any], prompt: str | None = None, **_: Any) -> dict[str, Tensor]:
        """Return the tensors of pairs of query and passage, each of shape (pairs, tokens)."""
        encoded = [
            [
                self.tokenizer(text, truncation=True, max_length=int(self.settings[f"{kind}_length"]))["input_ids"]
                for kind, text in zip(("query", "passage"), pair, strict=True)
            ]
            for pair in inputs
        ]
        shape = len(encoded), max(len(query) + len(passage) for query, passage in encoded)
        tensors = {
            name: torch.zeros(shape, dtype=torch.long)
            for name in ("input_ids", "position_ids", "of_query", "of_passage")
        }
        for row, (query, passage) in enumerate(encoded):
            end = len(query) + len(passage)
            tensors["input_ids"][row, :end] = torch.tensor(query + passage)
            tensors["position_ids"][row, :end] = torch.tensor([*range(len(query)), *range(len(passage))])
            tensors["of_query"][row, : len(query)] = 1
            tensors["of_passage"][row, len(query) : end] = 1
        return tensors

    def forward(self, features: dict[str, Tensor], **_: Any) -> dict[str, Tensor]:
        """Add `scores`, shape (pairs, outputs), to the features."""
        query, passage = features["of_query"].bool(), features["of_passage"].bool()
        hidden = self.model(
            input_ids=features["input_ids"],
            position_ids=features["position_ids"],
            attention_mask=self._attention(query, passage),
            token_type_ids=torch.zeros_like(features["input_ids"]),
        ).last_hidden_state.float()
        with torch.autocast(device_type=hidden.device.type, enabled=False):
            features["scores"] = self.score(hidden, query, passage)
        return features

    def _attention(self, query: Tensor, passage: Tensor) -> Tensor:
        """Return what is added to the attention logits, shape (pairs, 1, tokens, tokens)."""
        dtype = next(self.model.parameters()).dtype
        if torch.is_autocast_enabled(query.device.type):
            dtype = torch.get_autocast_dtype(query.device.type)
        across = (query[:, :, None] & passage[:, None, :]) | (passage[:, :, None] & query[:, None, :])
        added = across.to(dtype) * self.settings["damping"]
        return added.masked_fill(~(query | passage)[:, None, :], _NEVER)[:, None]

    @abstractmethod
    def score(self, hidden: Tensor, query: Tensor, passage: Tensor) -> Tensor:
        """Return the outputs for pairs, shape (pairs, outputs).

        Args:
            hidden: shape (pairs, tokens, width).
            query: which tokens are the query's, shape (pairs, tokens).
            passage: which are the passage's.
        """

    def head(self) -> dict[str, Tensor]:
        """Return the weights that the encoder does not have, by name."""
        return {name: value for name, value in self.state_dict().items() if not name.startswith("model.")}

    def save(self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        """Save the whole reader: the encoder (or its adapter), tokenizer, settings and head."""
        self.model.save_pretrained(output_path)
        self.tokenizer.save_pretrained(output_path)
        self.save_head(Path(output_path))

    def save_head(self, folder: Path) -> None:
        """Write settings and head into a folder."""
        save_file({name: value.contiguous() for name, value in sorted(self.head().items())}, folder / self.weights_name)
        (folder / self.settings_name).write_text(
            json.dumps(self.settings, indent=2, sort_keys=True) + "\n", encoding="utf-8"
        )

    @classmethod
    def with_head(cls, folder: Path, network: Any, tokenizer: Any, passage_length: int | None = None) -> Self:
        """Return a reader with the settings and the head of a folder.

        Args:
            folder: of the head.
            network: the encoder.
            tokenizer: its tokenizer.
            passage_length: the most tokens of a passage, instead of what was trained with.

        Raises:
            ValueError: the head does not fit the encoder.
        """
        settings = json.loads((folder / cls.settings_name).read_text(encoding="utf-8"))
        if passage_length is not None:
            settings["passage_length"] = passage_length
        reader = cls(network, tokenizer, **settings)
        missing, unexpected = reader.load_state_dict(load_file(folder / cls.weights_name), strict=False)
        left = [name for name in missing if not name.startswith("model.")] + list(unexpected)
        if left:
            raise ValueError(f"{folder / cls.weights_name} does not fit the encoder: {', '.join(left)}")
        return reader


class PairScorer(PairReader):
    """Reads a query and a passage in one pass, each from position 0, and scores how well they match.

    The score is a weighted sum of the cosine of the two texts' mean vectors (what a bi-encoder compares), the mean over
    the query's tokens of the best cosine with a token of the passage (late interaction), and a small network over both
    means that begins at 0. Attention from one text to the other is damped by `damping` nats: at a large negative value
    the texts do not see each other and the scorer is the encoder itself; training makes use of what gets through.
    So an untrained scorer ranks about as well as the encoder does, where a new classification head ranks at random.

    Source: the late interaction is that of Khattab and Zaharia 2020, ColBERT, arXiv 2004.12832.

    Args:
        network: a BERT-like encoder of transformers.
        tokenizer: its tokenizer.
        query_length: the most tokens of a query; what is longer is cut.
        passage_length: the most tokens of a passage.
        damping: added to the attention logits between the two texts.
    """

    weights_name = WEIGHTS
    settings_name = PAIR_SETTINGS

    def __init__(
        self, network: Any, tokenizer: Any, *, query_length: int = 64, passage_length: int = 256, damping: float = -2.0
    ) -> None:
        super().__init__(network, tokenizer, query_length=query_length, passage_length=passage_length, damping=damping)
        width = network.config.hidden_size
        self.mix = nn.Parameter(torch.full((2,), _SCALE))
        self.importance = nn.Linear(width, 1)
        self.inner = nn.Linear(4 * width, _HIDDEN)
        self.outer = nn.Linear(_HIDDEN, 1)
        for layer in (self.importance, self.outer):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def score(self, hidden: Tensor, query: Tensor, passage: Tensor) -> Tensor:
        one = functional.normalize(mean_of(hidden, query), dim=-1)
        other = functional.normalize(mean_of(hidden, passage), dim=-1)
        unit = functional.normalize(hidden, dim=-1)
        best = (unit @ unit.transpose(1, 2)).masked_fill(~passage[:, None, :], -1).amax(-1)
        weight = self.importance(hidden)[..., 0].clamp(-4, 4).exp() * query
        late = (best * weight).sum(1) / weight.sum(1)
        both = torch.cat([one, other, (one - other).abs(), one * other], dim=-1) * hidden.shape[-1] ** 0.5
        learned = self.outer(functional.gelu(self.inner(both)))[:, 0]
        return (self.mix[0] * (one * other).sum(-1) + self.mix[1] * late + learned)[:, None]


def mean_of(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the mean vectors of the tokens that a mask of shape (pairs, tokens) names."""
    return (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
