"""Causal language models of transformers in this process."""

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr

from ragkit.engine.calls import Batching, Reply, Request
from ragkit.engine.registry import models
from ragkit.errors import InputError, RagkitError, need
from ragkit.models.base import LanguageModel
from ragkit.models.choosing import score_choices
from ragkit.models.constrained import Constraints
from ragkit.models.decoding import NOT_A_NUMBER, Row, decode
from ragkit.models.devices import check
from ragkit.models.embedded import identify, locate, quiet_transformers
from ragkit.models.local_weights import LocalWeights
from ragkit.models.tokenization import PromptTokenizer


@models.register("transformers")
class TransformersModel(LanguageModel, LocalWeights):
    """A causal language model, run in batches with left padding.

    Greedy texts do not depend on the batch in float32; in bfloat16 rounding differs between batches of different
    shape and breaks near-ties differently. In a sampled text each draw depends on seed, draw and prompt only.

    Attributes:
        max_batch_tokens: the most tokens of one batch, padding and tokens to generate included.
        max_batch_size: the most prompts of one batch; None is 16 on a CPU, where padding costs more than a larger batch
            gains, and 64 elsewhere.
        adapter: folder of a PEFT adapter to merge into the weights.
        chat: None: text is continued as it is, chat turns go through the chat template. True: text is one user turn.
            False: chat turns are handed over as plain text.
    """

    max_batch_tokens: int = Field(default=16384, ge=1)
    max_batch_size: int | None = Field(default=None, ge=1)
    adapter: str | None = None
    chat: bool | None = None

    _prompts: PromptTokenizer | None = PrivateAttr(default=None)
    _weights: Any = PrivateAttr(default=None)
    _constraints: Constraints | None = PrivateAttr(default=None)

    def fingerprint(self) -> str:
        return json.dumps(
            {
                "provider": "transformers",
                "model": identify(self.model, self.revision),
                "dtype": self.resolved_dtype,
                "device": self.resolved_device.split(":")[0],
                "adapter": self.adapter and identify(str(_adapter_folder(self.adapter))),
                "chat": self.chat,
            }
        )

    def batching(self) -> Batching:
        usual = 16 if self.resolved_device == "cpu" else 64
        return Batching(requests=self.max_batch_size or usual, tokens=self.max_batch_tokens)

    def open(self) -> None:
        """Load the tokenizer; the weights follow at the first call that needs them."""
        from transformers import AutoTokenizer

        path, revision = locate(self.model, self.revision)
        with quiet_transformers():
            self._prompts = PromptTokenizer(
                AutoTokenizer.from_pretrained(path, revision=revision), self.model, self.chat
            )

    def load(self, op: str) -> None:
        """Load the weights, which counting tokens does without."""
        if op != "count_tokens" and self._weights is None:
            self._weights = self._load()

    def close(self) -> None:
        self._prompts = self._weights = self._constraints = None
        self._opened = False

    def measure(self, batch: Sequence[Request]) -> None:
        """Tokenise prompts; a request's size is all the tokens that it will hold at its end."""
        for request in batch:
            if request.op == "count_tokens":
                continue
            try:
                request.payload = self._tokenizer.encode(request.args["prompt"])
            except RagkitError as error:
                request.payload = error
                continue
            if request.op == "generate":
                request.size = len(request.payload) + request.args["max_new_tokens"]
            else:
                texts = request.args["choices"]
                # Each choice of several tokens needs a copy of what the model remembers of the prompt.
                request.size = (len(request.payload) + max(map(len, texts), default=0)) * max(1, len(texts))

    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        if op == "count_tokens":
            return [Reply(len(self._tokenizer.encode_text(request.args["text"]))) for request in batch]
        import torch

        with torch.inference_mode():
            return self._generate(batch) if op == "generate" else self._choose(batch)

    def _generate(self, batch: Sequence[Request]) -> list[Reply | Exception]:
        prepared = [self._row(request) for request in batch]
        rows = [row for row in prepared if isinstance(row, Row)]
        if rows:
            decode(self._model, rows, self._end_ids, self._pad_id, self._tokenizer.decode)
        return [self._reply(row) if isinstance(row, Row) else row for row in prepared]

    def _row(self, request: Request) -> Row | RagkitError:
        args, prompt = request.args, request.payload
        if isinstance(prompt, RagkitError):
            return prompt
        limit = args["max_new_tokens"]
        if limit < 1:
            return InputError(f"max_new_tokens is {limit}; it has to be at least 1")
        if problem := self._too_long(len(prompt), limit, "max_new_tokens"):
            return problem
        try:
            constraint = self._constraint(args)
        except RagkitError as error:
            return error
        return Row(
            prompt,
            limit,
            temperature=args.get("temperature", 0.0),
            generator=self._generator(args, prompt) if args.get("temperature") else None,
            stop=tuple(stop for stop in args.get("stop", ()) if stop),
            constraint=constraint,
        )

    def _generator(self, args: dict[str, Any], prompt: list[int]) -> Any:
        import torch

        digest = hashlib.sha256(f"{args['seed']} {args['draw']} {prompt}".encode()).digest()
        return torch.Generator(self._model.device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)

    def _constraint(self, args: dict[str, Any]) -> Any:
        if "schema" not in args and "grammar" not in args:
            return None
        if self._constraints is None:
            vocabulary = self._model.get_output_embeddings().weight.shape[0]
            self._constraints = Constraints(self._tokenizer.tokenizer, vocabulary, self._end_ids)
        return self._constraints.start(args.get("schema"), args.get("grammar"))

    def _reply(self, row: Row) -> Reply | Exception:
        if row.error:
            return row.error
        text = row.text(self._tokenizer.decode)
        if row.constraint is not None and not row.constraint.satisfied:
            return RagkitError(
                f"the text was cut after {len(row.tokens)} tokens, before it followed its schema or grammar: "
                f"raise max_new_tokens ({row.max_new_tokens}); it began with {text[:80]!r}"
            )
        value = {"text": text, "finish": row.finish, "logprob": row.logprob / len(row.tokens)}
        return Reply(value, len(row.prompt), len(row.tokens))

    def _choose(self, batch: Sequence[Request]) -> list[Reply | Exception]:
        outcomes: dict[int, Reply | Exception] = {}
        asked: list[tuple[int, list[str], list[int], list[list[int]]]] = []
        for position, request in enumerate(batch):
            labels, prompt = request.args["choices"], request.payload
            choices = [self._tokenizer.encode_text(label) for label in labels]
            if isinstance(prompt, RagkitError):
                outcomes[position] = prompt
            elif len(set(labels)) < len(labels) or not all(choices) or not labels:
                outcomes[position] = InputError(f"choices have to be different and not empty: {labels}")
            elif problem := self._too_long(len(prompt), max(map(len, choices)), "the longest choice"):
                outcomes[position] = problem
            else:
                asked.append((position, labels, prompt, choices))
        if asked:
            scores = score_choices(self._model, [row[2] for row in asked], [row[3] for row in asked], self._pad_id)
            for (position, labels, prompt, _), row_scores in zip(asked, scores, strict=True):
                outcomes[position] = _choice(labels, row_scores, len(prompt))
        return [outcomes[position] for position in range(len(batch))]

    def _too_long(self, prompt: int, further: int, name: str) -> InputError | None:
        context = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        if context is None or prompt + further <= context:
            return None
        return InputError(
            f"the prompt has {prompt} tokens, but with {further} for {name} at most {context - further} fit into "
            f"the context of {context} tokens of '{self.model}': give it less text (context.pack does)"
        )

    @property
    def _tokenizer(self) -> PromptTokenizer:
        self.ensure_open()
        assert self._prompts is not None  # noqa: S101 - open() sets it
        return self._prompts

    @property
    def _model(self) -> Any:
        if self._weights is None:
            self._weights = self._load()
        return self._weights

    def _load(self) -> Any:
        import torch
        from transformers import AutoModelForCausalLM

        device = self.resolved_device
        check(self.device, device)
        path, revision = locate(self.model, self.revision)
        with quiet_transformers():
            weights = AutoModelForCausalLM.from_pretrained(
                path, revision=revision, dtype=getattr(torch, self.resolved_dtype)
            )
        if self.adapter:
            peft = need("peft", "peft", "model setting 'adapter'")
            folder = _adapter_folder(self.adapter)
            weights = peft.PeftModel.from_pretrained(weights, str(folder)).merge_and_unload()
        return weights.to(device).eval()

    @property
    def _end_ids(self) -> frozenset[int]:
        configured = self._model.generation_config.eos_token_id
        ends = configured if isinstance(configured, list) else [configured]
        return frozenset(end for end in [*ends, self._tokenizer.tokenizer.eos_token_id] if end is not None)

    @property
    def _pad_id(self) -> int:
        # Padding is masked: any token does.
        pad = self._tokenizer.tokenizer.pad_token_id
        return pad if pad is not None else 0


def _choice(labels: list[str], scores: list[float], prompt_tokens: int) -> Reply | RagkitError:
    """Return the best choice, with log-probabilities normalised over the choices."""
    if any(map(math.isnan, scores)):
        return RagkitError(NOT_A_NUMBER)
    best = max(scores)
    total = best + math.log(sum(math.exp(score - best) for score in scores))
    logprobs = {label: score - total for label, score in zip(labels, scores, strict=True)}
    return Reply({"label": max(logprobs, key=logprobs.__getitem__), "logprobs": logprobs}, prompt_tokens)


def _adapter_folder(adapter: str) -> Path:
    folder = Path(adapter)
    if not (folder / "adapter_config.json").is_file():
        raise InputError(f"adapter '{adapter}' is not a folder with an adapter_config.json")
    return folder
