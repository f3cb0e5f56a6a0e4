"""Image-text models of transformers in this process: Qwen2-VL, SmolVLM, Idefics and others of the kind."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr

from ragkit.engine.calls import Batching, Reply, Request
from ragkit.engine.registry import models
from ragkit.errors import InputError, RagkitError, ReplyError
from ragkit.models.adapters import adapter_folder
from ragkit.models.base import LanguageModel, Picture
from ragkit.models.constrained import Constraints
from ragkit.models.decoding import Row, advance
from ragkit.models.devices import check
from ragkit.models.embedded import identify, locate, quiet_transformers
from ragkit.models.local_weights import LocalWeights
from ragkit.models.vision_processor import load_processor
from ragkit.models.vision_prompts import VisionPrompts


@models.register("transformers_vision")
class TransformersVisionModel(LanguageModel, LocalWeights):
    """An image-text model that answers prompts with pictures, and those without, run in batches with left padding.

    Whatever `AutoModelForImageTextToText` and `AutoProcessor` load works: Qwen2-VL, SmolVLM, Idefics ... Prompts go
    through the processor's chat template; the pictures stand where the prompt has them. What looks like a special token
    in a text is broken up and never acts as one. It generates; `choose` and `likelihood` are for text models.

    Attributes:
        max_batch_size: the most prompts of one batch.
        adapter: folder of a PEFT adapter that stands beside the weights.
    """

    takes_grammar: ClassVar[bool] = True
    takes_pictures: ClassVar[bool] = True

    max_batch_size: int = Field(default=8, ge=1)
    adapter: str | None = None

    _prompts: VisionPrompts | None = PrivateAttr(default=None)
    _weights: Any = PrivateAttr(default=None)
    _constraints: Constraints | None = PrivateAttr(default=None)

    def fingerprint(self) -> str:
        return json.dumps(
            {
                "provider": "transformers_vision",
                "model": identify(self.model, self.revision),
                "adapter": self.adapter and identify(str(adapter_folder(self.adapter))),
                "dtype": self.resolved_dtype,
                "device": self.resolved_device.split(":")[0],
            }
        )

    def batching(self) -> Batching:
        return Batching(requests=self.max_batch_size, tokens=1_000_000_000)

    def open(self) -> None:
        """Load the processor; the weights follow at the first call that needs them."""
        path, revision = locate(self.model, self.revision)
        with quiet_transformers():
            self._prompts = VisionPrompts(load_processor(path, revision, self.model), self.model)

    def load(self, op: str) -> None:
        """Load the weights, which counting tokens does without."""
        if op != "count_tokens" and self._weights is None:
            check(self.device, self.resolved_device)
            self._weights = load_weights(self)

    def close(self) -> None:
        self._prompts = self._weights = self._constraints = None
        self._opened = False

    def measure(self, batch: Sequence[Request]) -> None:
        """Estimate how long prompts are, so that similar ones come together: by the text and the number of pictures."""
        for request in batch:
            if request.op == "generate":
                prompt = request.args["prompt"]
                turns = [prompt] if isinstance(prompt, str) else [turn["content"] for turn in prompt]
                request.size = sum(map(len, turns)) + 1000 * len(request.args.get("pictures", ()))

    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        if op == "count_tokens":
            tokenizer = self._processing.processor.tokenizer
            texts = [self._processing.harmless(request.args["text"]) for request in batch]
            return [Reply(len(tokenizer.encode(text, add_special_tokens=False))) for text in texts]
        if op != "generate":
            return [RagkitError(f"{type(self).__name__} generates; it does not {op}") for _ in batch]
        import torch

        # Processors want all prompts of a batch with pictures or none.
        replies: dict[int, Reply | Exception] = {}
        for with_pictures in (True, False):
            chosen = [number for number, one in enumerate(batch) if ("pictures" in one.args) is with_pictures]
            with torch.inference_mode():
                replies |= dict(zip(chosen, self._generate([batch[number] for number in chosen]), strict=True))
        return [replies[number] for number in range(len(batch))]

    def _generate(self, batch: Sequence[Request]) -> list[Reply | Exception]:
        outcomes: dict[int, Reply | Exception] = {}
        texts: dict[int, str] = {}
        rows: dict[int, Row] = {}
        for number, request in enumerate(batch):
            try:
                texts[number] = self._processing.render(request.args["prompt"])
                rows[number] = self._row(request.args)
            except RagkitError as error:
                outcomes[number] = error
        running = [number for number in texts if number in rows]
        if running:
            pictures: list[Sequence[Picture]] = [batch[number].payload or () for number in running]
            inputs = self._processing.encode([texts[number] for number in running], pictures)
            replies = self._decode(inputs, [rows[number] for number in running])
            if isinstance(replies, InputError) and len(running) > 1:  # one is too long for the model, not all
                return [self._generate([request])[0] for request in batch]
            outcomes |= dict(zip(running, [replies] if isinstance(replies, InputError) else replies, strict=True))
        return [outcomes[number] for number in range(len(batch))]

    def _decode(self, inputs: Any, rows: Sequence[Row]) -> list[Reply | Exception] | InputError:
        inputs = inputs.to(self._weights.device, self._weights.dtype)
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        if problem := self._too_long(max(lengths), max(row.max_new_tokens for row in rows)):
            return problem
        generate(self._weights, inputs, rows, self._end_ids, self._processing)
        return [self._reply(row, length) for row, length in zip(rows, lengths, strict=True)]

    def _row(self, args: dict[str, Any]) -> Row:
        constraint = None
        if "schema" in args or "grammar" in args:
            if self._constraints is None:
                tokenizer = self._processing.processor.tokenizer
                scored = int(self._weights.get_output_embeddings().weight.shape[0])
                self._constraints = Constraints(tokenizer, scored, self._end_ids)
            constraint = self._constraints.start(args.get("schema"), args.get("grammar"))
        return Row(
            [],
            args["max_new_tokens"],
            temperature=args.get("temperature", 0.0),
            generator=self._generator(args) if args.get("temperature") else None,
            stop=tuple(stop for stop in args.get("stop", ()) if stop),
            constraint=constraint,
        )

    def _generator(self, args: dict[str, Any]) -> Any:
        """Return what a sampled text is drawn by: its seed, draw and prompt alone."""
        import torch

        given = {key: args[key] for key in ("seed", "draw", "prompt")} | {"pictures": args.get("pictures", [])}
        digest = hashlib.sha256(json.dumps(given).encode()).digest()
        return torch.Generator(self._weights.device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)

    def _reply(self, row: Row, prompt_tokens: int) -> Reply | Exception:
        if row.error:
            return row.error
        text = row.text(self._processing.decode)
        if row.constraint is not None and not row.constraint.satisfied:
            return ReplyError(
                f"the text was cut after {len(row.tokens)} tokens, before it followed its schema or grammar: "
                f"raise max_new_tokens ({row.max_new_tokens}); it began with {text[:80]!r}",
                text,
            )
        value = {"text": text, "finish": row.finish, "logprob": row.logprob / len(row.tokens)}
        return Reply(value, prompt_tokens, len(row.tokens))

    def _too_long(self, prompt: int, further: int) -> InputError | None:
        context = getattr(self._weights.config.get_text_config(), "max_position_embeddings", None)
        if context is None or prompt + further <= context:
            return None
        return InputError(
            f"the prompt has {prompt} tokens with its pictures, and {further} are to be written, but '{self.model}' "
            f"has a context of {context}: show fewer or smaller pictures (context.pages: k, side)"
        )

    @property
    def _processing(self) -> VisionPrompts:
        self.ensure_open()
        if self._prompts is None:
            raise RagkitError(f"'{self.model}' was closed while it answered")
        return self._prompts

    @property
    def _end_ids(self) -> frozenset[int]:
        configured = self._weights.generation_config.eos_token_id
        ends = configured if isinstance(configured, list) else [configured]
        return frozenset(end for end in [*ends, self._processing.processor.tokenizer.eos_token_id] if end is not None)


def load_weights(model: LocalWeights) -> Any:
    """Return the weights of an image-text model on its device, with its adapter beside them.

    Raises:
        InputError: there is no such model, or the adapter does not fit.
    """
    import torch
    from transformers import AutoModelForImageTextToText

    path, revision = locate(model.model, model.revision)
    with quiet_transformers():
        weights = AutoModelForImageTextToText.from_pretrained(
            path, revision=revision, dtype=getattr(torch, model.resolved_dtype)
        )
        if (adapter := getattr(model, "adapter", None)) is not None:
            from ragkit.errors import need

            peft = need("peft", "'ragkit[tuning]'", "model setting 'adapter'")
            weights = peft.PeftModel.from_pretrained(weights, str(adapter_folder(adapter)))
    return weights.to(model.resolved_device).eval()


def generate(weights: Any, inputs: Any, rows: Sequence[Row], end_ids: frozenset[int], prompts: VisionPrompts) -> None:
    """Fill in the rows of a batch.

    The model's own `generate` makes the passes, since every architecture keeps account of its pictures' positions in
    its own way; which token comes next is decided here, row by row, as for text models.
    """
    from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

    filler = min(end_ids) if end_ids else 0

    class Deciding(LogitsProcessor):  # type: ignore[misc]
        def __call__(self, input_ids: Any, scores: Any) -> Any:
            decided = scores.new_full(scores.shape, float("-inf"))
            decided[:, filler] = 0.0
            active = [number for number, row in enumerate(rows) if row.active]
            tokens = advance(scores[active].float(), [rows[number] for number in active], end_ids, prompts.decode)
            decided[active, filler] = float("-inf")
            decided[active, tokens] = 0.0
            return decided

    class Ended(StoppingCriteria):  # type: ignore[misc]
        def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
            import torch

            return torch.tensor([not row.active for row in rows], device=input_ids.device)

    weights.generate(
        **inputs,
        max_new_tokens=max(row.max_new_tokens for row in rows),
        do_sample=False,
        num_beams=1,
        repetition_penalty=1.0,
        logits_processor=LogitsProcessorList([Deciding()]),
        stopping_criteria=StoppingCriteriaList([Ended()]),
        pad_token_id=filler,
    )
