"""Causal language models of transformers in this process."""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

from pydantic import Field, PrivateAttr, model_validator

from ragkit.engine.calls import Batching, Reply, Request
from ragkit.engine.registry import models
from ragkit.errors import InputError, RagkitError, ReplyError
from ragkit.models.adapters import read_adapter
from ragkit.models.base import LanguageModel
from ragkit.models.choosing import score_choices
from ragkit.models.constrained import Constraints
from ragkit.models.decoding import NOT_A_NUMBER, Row, decode
from ragkit.models.devices import check
from ragkit.models.embedded import identify, locate, quiet_transformers
from ragkit.models.guided_decoding import Guide, GuidedReading, Voice, check_vocabulary, weigh
from ragkit.models.local_weights import LocalWeights
from ragkit.models.prefix_reuse import score_in_turn, worth_reusing
from ragkit.models.reading import NetworkReading, Reading
from ragkit.models.resident import Network, resident_base
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
        adapter: folder of a PEFT adapter (LoRA or prompt tuning), or `embedded:<name>` for one that ragkit ships.
            Models with the same base, device and dtype share its weights in memory, whatever their adapters.
        merge: merge the adapter into a copy of the weights that is this model's own. Faster on a CPU, and right for the
            only model on its base; several would each cost the whole memory. In bfloat16 merging rounds the weights.
        chat: None: text is continued as it is, chat turns go through the chat template. True: text is one user turn.
            False: chat turns are handed over as plain text.
        guide: models whose scores are added to this one's while it writes or chooses, times their weights.
    """

    takes_contrast: ClassVar[bool] = True
    takes_grammar: ClassVar[bool] = True

    max_batch_tokens: int = Field(default=16384, ge=1)
    max_batch_size: int | None = Field(default=None, ge=1)
    adapter: str | None = None
    merge: bool = False
    chat: bool | None = None
    guide: tuple[Guide, ...] = ()

    _tokenizers: list[PromptTokenizer] = PrivateAttr(default_factory=list)
    _networks: list[Network] = PrivateAttr(default_factory=list)
    _constraints: Constraints | None = PrivateAttr(default=None)

    def fingerprint(self) -> str:
        own, *guides = [(voice, weight) for voice, weight in self._voices.items()]
        named = {
            "provider": "transformers",
            **_named(own[0]),
            "dtype": self.resolved_dtype,
            "device": self.resolved_device.split(":")[0],
        }
        if self.merge:
            named["merge"] = True
        if self.guide:
            named["weight"] = own[1]
            named["guide"] = [_named(voice) | {"prompt": voice.prompt, "weight": weight} for voice, weight in guides]
        return json.dumps(named)

    @model_validator(mode="after")
    def _heard(self) -> Self:
        try:
            _ = self._voices
        except InputError as error:
            raise ValueError(str(error)) from None
        if self.merge and self.adapter is None:
            raise ValueError("merge needs an adapter to merge")
        return self

    @property
    def _voices(self) -> dict[Voice, float]:
        own = Voice(self.model, self.revision, self.adapter, self.chat, merge=self.merge)
        return weigh(own, self.guide)

    def batching(self) -> Batching:
        usual = 16 if self.resolved_device == "cpu" else 64
        return Batching(requests=self.max_batch_size or usual, tokens=self.max_batch_tokens)

    def open(self) -> None:
        """Load the tokenizers; the weights follow at the first call that needs them."""
        from transformers import AutoTokenizer

        loaded: dict[tuple[str, str | None], Any] = {}
        tokenizers = []
        for voice in self._voices:
            name = (voice.model, voice.revision)
            if name not in loaded:
                path, revision = locate(*name)
                with quiet_transformers():
                    loaded[name] = AutoTokenizer.from_pretrained(path, revision=revision)
            tokenizers.append(PromptTokenizer(loaded[name], voice.model, voice.chat))
        own = loaded[self.model, self.revision]
        for (model, _), tokenizer in loaded.items():
            if tokenizer is not own:
                check_vocabulary(self.model, own.get_vocab(), model, tokenizer.get_vocab())
        self._tokenizers = tokenizers

    def load(self, op: str) -> None:
        """Load the weights, which counting tokens does without."""
        if op != "count_tokens" and not self._networks:
            check(self.device, self.resolved_device)
            self._networks = [self._network(voice) for voice in self._voices]

    def _network(self, voice: Voice) -> Network:
        place = (voice.model, voice.revision, self.resolved_device, self.resolved_dtype)
        if voice.merge:
            return resident_base(*place, merged=voice.adapter).network(None)
        return resident_base(*place).network(voice.adapter)

    def close(self) -> None:
        """Let go of the weights, which are freed with their last user."""
        self._tokenizers, self._networks, self._constraints = [], [], None
        self._opened = False

    def measure(self, batch: Sequence[Request]) -> None:
        """Tokenise prompts, one per voice; a request's size is all the tokens that it will hold at its end."""
        for request in batch:
            if request.op == "count_tokens":
                continue
            try:
                request.payload = self._encode(request.args)
            except RagkitError as error:
                request.payload = error
                continue
            # Each choice of several tokens needs a copy of what the model remembers of the prompt.
            texts = [request.args["text"]] if request.op == "likelihood" else request.args.get("choices", ())
            further = request.args["max_new_tokens"] if request.op == "generate" else max(map(len, texts), default=0)
            request.size = sum(len(prompt) + further for prompt in request.payload) * max(1, len(texts))

    def _encode(self, args: dict[str, Any]) -> list[list[int]]:
        """Return the token ids of the prompt of each voice."""
        voices = self._voices
        contrasts = [voice for voice in voices if voice.prompt == "contrast"]
        if contrasts and "contrast_prompt" not in args:
            raise InputError(f"a guide of '{self.model}' has prompt: contrast, but the stage gives no contrast prompt")
        if "contrast_prompt" in args and not contrasts:
            raise InputError(
                f"the stage gives a contrast prompt, but no guide of '{self.model}' uses it: set guide, e.g. "
                "[{weight: 0.5}, {prompt: contrast, weight: -0.5}]"
            )
        return [
            tokenizer.encode(args["prompt" if voice.prompt == "same" else "contrast_prompt"])
            for voice, tokenizer in zip(voices, self._tokenizers, strict=True)
        ]

    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        if op == "count_tokens":
            return [Reply(len(self._tokenizer.encode_text(request.args["text"]))) for request in batch]
        import torch

        with torch.inference_mode():
            answer = {"generate": self._generate, "choose": self._choose, "likelihood": self._likelihood}[op]
            return answer(batch)

    def _generate(self, batch: Sequence[Request]) -> list[Reply | Exception]:
        prepared = [self._row(request) for request in batch]
        rows = [row for row in prepared if isinstance(row, Row)]
        if rows:
            prompts = [request.payload for request, row in zip(batch, prepared, strict=True) if isinstance(row, Row)]
            decode(self._read(prompts), rows, self._end_ids, self._tokenizer.decode)
        return [self._reply(row) if isinstance(row, Row) else row for row in prepared]

    def _row(self, request: Request) -> Row | RagkitError:
        args, prompts = request.args, request.payload
        if isinstance(prompts, RagkitError):
            return prompts
        limit = args["max_new_tokens"]
        if limit < 1:
            return InputError(f"max_new_tokens is {limit}; it has to be at least 1")
        if problem := self._too_long(prompts, limit, "max_new_tokens"):
            return problem
        try:
            constraint = self._constraint(args)
        except RagkitError as error:
            return error
        return Row(
            prompts[0],
            limit,
            temperature=args.get("temperature", 0.0),
            generator=self._generator(args, prompts[0]) if args.get("temperature") else None,
            stop=tuple(stop for stop in args.get("stop", ()) if stop),
            constraint=constraint,
        )

    def _generator(self, args: dict[str, Any], prompt: list[int]) -> Any:
        import torch

        digest = hashlib.sha256(f"{args['seed']} {args['draw']} {prompt}".encode()).digest()
        return torch.Generator(self._networks[0].device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)

    def _constraint(self, args: dict[str, Any]) -> Any:
        if "schema" not in args and "grammar" not in args:
            return None
        if self._constraints is None:
            self._constraints = Constraints(self._tokenizer.tokenizer, self._scored_tokens, self._end_ids)
        return self._constraints.start(args.get("schema"), args.get("grammar"))

    def _reply(self, row: Row) -> Reply | Exception:
        if row.error:
            return row.error
        text = row.text(self._tokenizer.decode)
        if row.constraint is not None and not row.constraint.satisfied:
            return ReplyError(
                f"the text was cut after {len(row.tokens)} tokens, before it followed its schema or grammar: "
                f"raise max_new_tokens ({row.max_new_tokens}); it began with {text[:80]!r}",
                text,
            )
        value = {"text": text, "finish": row.finish, "logprob": row.logprob / len(row.tokens)}
        return Reply(value, len(row.prompt), len(row.tokens))

    def _choose(self, batch: Sequence[Request]) -> list[Reply | Exception]:
        return self._score(batch, [request.args["choices"] for request in batch], _choice)

    def _likelihood(self, batch: Sequence[Request]) -> list[Reply | Exception]:
        def mean(texts: list[str], scores: list[float], prompt_tokens: int) -> Reply | RagkitError:
            tokens = len(self._tokenizer.encode_text(texts[0]))
            return RagkitError(NOT_A_NUMBER) if math.isnan(scores[0]) else Reply(scores[0] / tokens, prompt_tokens)

        return self._score(batch, [[request.args["text"]] for request in batch], mean)

    def _score(
        self,
        batch: Sequence[Request],
        texts: Sequence[list[str]],
        reply: Callable[[list[str], list[float], int], Reply | RagkitError],
    ) -> list[Reply | Exception]:
        """Answer requests by the log-probabilities of texts as continuations of their prompts."""
        outcomes: dict[int, Reply | Exception] = {}
        asked: list[tuple[int, list[str], list[list[int]], list[list[int]]]] = []
        for position, (request, labels) in enumerate(zip(batch, texts, strict=True)):
            prompts = request.payload
            choices = [self._tokenizer.encode_text(label) for label in labels]
            if isinstance(prompts, RagkitError):
                outcomes[position] = prompts
            elif len(set(labels)) < len(labels) or not all(choices) or not labels:
                outcomes[position] = InputError(f"choices have to be different and not empty: {labels}")
            elif problem := self._too_long(prompts, max(map(len, choices)), "the longest choice"):
                outcomes[position] = problem
            else:
                asked.append((position, labels, prompts, choices))
        if asked:
            scores = self._scores([row[2] for row in asked], [row[3] for row in asked])
            for (position, labels, prompts, _), row_scores in zip(asked, scores, strict=True):
                outcomes[position] = reply(labels, row_scores, len(prompts[0]))
        return [outcomes[position] for position in range(len(batch))]

    def _scores(self, prompts: Sequence[list[list[int]]], choices: Sequence[list[list[int]]]) -> list[list[float]]:
        """Return the log-probabilities of continuations of prompts, sharing what the prompts have in common."""
        if list(self._voices.values()) == [1.0]:
            network, own = self._networks[0], [of_row[0] for of_row in prompts]
            if worth_reusing(network, own):
                return score_in_turn(network, own, choices, self._pad_id)
        return score_choices(self._read(prompts), choices, self._pad_id)

    def _read(self, prompts: Sequence[list[list[int]]]) -> Reading:
        """Have each voice read its prompts of a batch; a voice without weight need not."""
        heard = [(number, weight) for number, weight in enumerate(self._voices.values()) if weight]
        readings = [
            NetworkReading(self._networks[number], [of_row[number] for of_row in prompts], self._pad_id)
            for number, _ in heard
        ]
        weights = [weight for _, weight in heard]
        return readings[0] if weights == [1.0] else GuidedReading(readings, weights, self._scored_tokens)

    def _too_long(self, prompts: Sequence[list[int]], further: int, name: str) -> InputError | None:
        for prompt, network in zip(prompts, self._networks, strict=True):
            if network.context is not None and len(prompt) + further > network.context:
                return InputError(
                    f"the prompt has {len(prompt)} tokens, but with {further} for {name} at most "
                    f"{network.context - further} fit into the context of {network.context} tokens of "
                    f"'{network.base.name}': give it less text (context.pack does)"
                )
        return None

    @property
    def _tokenizer(self) -> PromptTokenizer:
        self.ensure_open()
        return self._tokenizers[0]

    @property
    def _scored_tokens(self) -> int:
        return min(network.scored_tokens for network in self._networks)

    @property
    def _end_ids(self) -> frozenset[int]:
        configured = self._networks[0].weights.generation_config.eos_token_id
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


def _named(voice: Voice) -> dict[str, Any]:
    """Return what names the exact weights of a voice, and how it is given its prompt."""
    return {
        "model": identify(voice.model, voice.revision),
        "adapter": voice.adapter and identify(str(read_adapter(voice.adapter).folder)),
        "chat": voice.chat,
    }
