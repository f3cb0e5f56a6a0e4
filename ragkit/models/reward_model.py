"""Reward models of transformers in this process: one number for a prompt and a completion."""

import json
import math
from collections.abc import Sequence
from typing import Any

from pydantic import Field, PrivateAttr

from ragkit.engine.calls import Batching, Reply, Request
from ragkit.engine.registry import models
from ragkit.errors import InputError, RagkitError, need
from ragkit.models.adapters import WEIGHTS, Adapter, check_base, check_lora, read_adapter
from ragkit.models.base import RewardModel
from ragkit.models.devices import check
from ragkit.models.embedded import identify, locate, quiet_transformers
from ragkit.models.local_weights import LocalWeights
from ragkit.models.tokenization import PromptTokenizer

HEAD = "score"


@models.register("reward-model")
class TransformersRewardModel(RewardModel, LocalWeights):
    """A language model with a head that gives one number, which is read at the end token of the completion.

    Attributes:
        adapter: folder of what the objective `reward_model` trained: a LoRA with the head. Without one, the model
            itself has the head.
        chat: as in the language model that it was trained from.
        max_batch_tokens: the most tokens of one batch, with padding.
        max_batch_size: the most completions of one batch.
    """

    adapter: str | None = None
    chat: bool | None = None
    max_batch_tokens: int = Field(default=16384, ge=1)
    max_batch_size: int = Field(default=16, ge=1)

    _tokenizer: PromptTokenizer | None = PrivateAttr(default=None)
    _weights: Any = PrivateAttr(default=None)

    def fingerprint(self) -> str:
        return json.dumps(
            {
                "provider": "reward-model",
                "model": identify(self.model, self.revision),
                "adapter": self.adapter and identify(str(read_adapter(self.adapter).folder)),
                "chat": self.chat,
                "dtype": self.resolved_dtype,
                "device": self.resolved_device.split(":")[0],
            }
        )

    def batching(self) -> Batching:
        return Batching(requests=self.max_batch_size, tokens=self.max_batch_tokens)

    def open(self) -> None:
        """Load tokenizer and weights."""
        from transformers import AutoTokenizer

        check(self.device, self.resolved_device)
        path, revision = locate(self.model, self.revision)
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(path, revision=revision)
        self._tokenizer = PromptTokenizer(tokenizer, self.model, self.chat)
        found = None if self.adapter is None else read_adapter(self.adapter)
        weights = load_with_head(path, revision, self.resolved_dtype, fresh=found is not None)
        if found is not None:
            weights = _with_adapter(weights, found, self.model, identify(self.model, self.revision))
        weights.config.get_text_config().pad_token_id = pad_token(tokenizer.eos_token_id)
        self._weights = weights.to(self.resolved_device).eval()

    def close(self) -> None:
        self._tokenizer, self._weights = None, None
        self._opened = False

    def measure(self, batch: Sequence[Request]) -> None:
        """Tokenise prompts with completions."""
        if self._tokenizer is None:
            raise AssertionError("unreachable: the engine opens a resource before it measures")
        for request in batch:
            try:
                ids = encode_pair(self._tokenizer, request.args["prompt"], request.args["completion"])
            except RagkitError as error:
                request.payload = error
                continue
            request.payload, request.size = ids, len(ids)

    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        import torch

        asked = [request.payload for request in batch if not isinstance(request.payload, RagkitError)]
        grades: list[float] = []
        if asked:
            longest = max(map(len, asked))
            ids = torch.full((len(asked), longest), self._weights.config.get_text_config().pad_token_id)
            mask = torch.zeros_like(ids)
            for row, tokens in enumerate(asked):
                ids[row, : len(tokens)] = torch.tensor(tokens)
                mask[row, : len(tokens)] = 1
            device = self._weights.device
            with torch.inference_mode():
                logits = self._weights(input_ids=ids.to(device), attention_mask=mask.to(device)).logits
            grades = logits[:, 0].float().tolist()
        left = iter(grades)
        return [
            request.payload
            if isinstance(request.payload, RagkitError)
            else _reply(next(left), len(request.payload), self.model)
            for request in batch
        ]


def _reply(grade: float, tokens: int, model: str) -> Reply | Exception:
    if not math.isfinite(grade):
        return RagkitError(f"the reward model '{model}' gave no number (NaN or infinite): try dtype: float32")
    return Reply(grade, tokens)


def encode_pair(tokenizer: PromptTokenizer, prompt: Any, completion: str) -> list[int]:
    """Return the token ids of a prompt, its completion, and the end token at which the head reads.

    Raises:
        InputError: the prompt cannot be encoded, or the tokenizer has no end token.
    """
    end = tokenizer.tokenizer.eos_token_id
    if end is None:
        raise InputError("a reward model needs a tokenizer with an end token")
    return [*tokenizer.encode(prompt), *tokenizer.encode_text(completion), end]


def pad_token(end: int) -> int:
    """Return the token that transformers is to take for padding.

    It reads the head at the last token that is not this one, by id and not by mask. With the end token for padding, as
    many chat models have it, that would be the token before the end; any other one cannot stand last.
    """
    return 0 if end else 1


def load_with_head(path: str, revision: str | None, dtype: str, *, fresh: bool) -> Any:
    """Load a model as one that gives one number.

    Args:
        path: folder or hub id.
        revision: of a hub model.
        dtype: number format of the weights; the head is always float32, so that grades are not rounded.
        fresh: give a model without a head a new, random one, for training or to be replaced by an adapter's.

    Raises:
        InputError: the model has no head, and none may be made.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    with quiet_transformers():
        weights, found = AutoModelForSequenceClassification.from_pretrained(
            path, revision=revision, dtype=getattr(torch, dtype), num_labels=1, output_loading_info=True
        )
    if not fresh and any(key.startswith(f"{HEAD}.") for key in found["missing_keys"]):
        raise InputError(f"'{path}' is no reward model: it has no head '{HEAD}' (name its adapter, or train one)")
    head = getattr(weights, HEAD).float()
    head.register_forward_pre_hook(_widen)
    return weights


def _widen(head: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.to(head.weight.dtype) for value in inputs)


def _with_adapter(weights: Any, adapter: Adapter, model: str, identity: str) -> Any:
    """Load an adapter with its head beside the weights."""
    from safetensors import safe_open

    peft = need("peft", "'ragkit[tuning]'", "model setting 'adapter'")
    check_base(adapter, model, identity)
    check_lora(adapter, dict(weights.named_modules()), model)
    with safe_open(adapter.folder / WEIGHTS, framework="numpy") as file:
        if not any(f".{HEAD}." in key for key in file.keys()):  # noqa: SIM118 - no mapping
            raise adapter.misfit(model, f"it has no head '{HEAD}': it was not trained as a reward model")
    with quiet_transformers():
        return peft.PeftModel.from_pretrained(weights, str(adapter.folder), autocast_adapter_dtype=False)
