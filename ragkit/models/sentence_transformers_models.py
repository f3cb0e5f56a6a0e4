"""Encoders, rerankers and entailment models of sentence-transformers in this process."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, PrivateAttr

from ragkit.engine.calls import Batching, Reply, Request
from ragkit.engine.registry import models
from ragkit.errors import InputError, RagkitError, need
from ragkit.models.adapters import PAIR_SETTINGS, adapted_texts, check_base, check_lora, read_adapter
from ragkit.models.base import ENTAILMENT, Encoder, EntailmentModel, Reranker
from ragkit.models.devices import check
from ragkit.models.embedded import identify, locate, quiet_transformers
from ragkit.models.local_weights import LocalWeights

_CHARACTERS_PER_TOKEN = 4
NOT_NUMBERS = "the model's output is not numbers (NaN or infinite): try dtype: float32"


class SentenceTransformersResource(LocalWeights):
    """What encoders and rerankers share.

    Attributes:
        adapter: folder of a LoRA adapter, such as `ragkit tune` writes, or `embedded:<name>` for one that ragkit ships.
        max_length: tokens after which a text is cut; None is the model's own limit.
        max_batch_tokens: the most tokens of one batch with padding, by an estimate of 4 characters per token.
        max_batch_size: the most texts of one batch; on a CPU more than 32 are slower, a GPU can take more.
    """

    adapter: str | None = None
    max_length: int | None = Field(default=None, ge=1)
    max_batch_tokens: int = Field(default=16384, ge=1)
    max_batch_size: int = Field(default=32, ge=1)

    _weights: Any = PrivateAttr(default=None)

    def _weights_and_limits(self, *, adapted: bool = True) -> dict[str, Any]:
        """Return what outputs depend on; `adapted`: whether the adapter had a hand in them."""
        found = {
            "model": identify(self.model, self.revision),
            "max_length": self.max_length,
            "dtype": self.resolved_dtype,
        }
        if self.adapter is not None and adapted:
            found["adapter"] = identify(str(read_adapter(self.adapter).folder))
        return found

    def batching(self) -> Batching:
        return Batching(requests=self.max_batch_size, tokens=self.max_batch_tokens)

    def measure(self, batch: Sequence[Request]) -> None:
        """Estimate tokens by length, as sentence-transformers itself does to sort texts."""
        longest = self.max_length or 1_000_000
        for request in batch:
            texts = (value for key, value in request.args.items() if key != "kind")
            request.size = min(longest, sum(map(len, texts)) // _CHARACTERS_PER_TOKEN + 1)

    def close(self) -> None:
        self._weights = None
        self._opened = False

    def _fingerprint(self, settings: dict[str, Any]) -> str:
        return json.dumps({"class": type(self).__name__, "device": self.resolved_device.split(":")[0], **settings})

    def _load(self, kind: str, *, adapted: bool = True, **options: Any) -> Any:
        """Load a model of a class of sentence_transformers onto the device; `adapted`: with its adapter beside it."""
        import sentence_transformers
        import torch

        check(self.device, self.resolved_device)
        path, revision = locate(self.model, self.revision)
        dtype = getattr(torch, self.resolved_dtype)
        with quiet_transformers():
            weights = getattr(sentence_transformers, kind)(
                path, revision=revision, device=self.resolved_device, model_kwargs={"dtype": dtype}, **options
            )
        if self.adapter is not None and adapted:
            self._add_adapter(weights)
            weights.to(dtype)
        return weights

    def _add_adapter(self, weights: Any) -> None:
        """Put the adapter beside the weights of a model of sentence_transformers.

        Raises:
            InputError: it does not fit.
            MissingPackageError: PEFT is not installed.
        """
        need("peft", "'ragkit[tuning]'", "model setting 'adapter'")
        adapter = read_adapter(str(self.adapter))
        if adapter.kind != "LORA":
            raise InputError(f"adapter '{adapter.name}' is of the type {adapter.kind!r}; {self.model} can take LORA")
        check_base(adapter, self.model, identify(self.model, self.revision))
        check_lora(adapter, dict(weights.transformers_model.named_modules()), self.model)
        with quiet_transformers():
            weights.load_adapter(str(adapter.folder))


@models.register("sentence-transformers")
class SentenceTransformerEncoder(Encoder, SentenceTransformersResource):
    """An encoder of sentence-transformers. Texts longer than `max_length` are cut, as is usual for encoders.

    Pooling follows from the model's own files, and so from its revision. Vectors of an adapter are others than those of
    its base, so an index that was built without it, or with another one, is refused. An adapter for queries only leaves
    the vectors of passages as they are: it searches an index of its base.

    Attributes:
        query_prefix: put before queries.
        passage_prefix: put before passages.
        normalize: whether vectors get length 1.
    """

    query_prefix: str = ""
    passage_prefix: str = ""
    normalize: bool = True

    def describe(self) -> dict[str, Any]:
        return self._weights_and_limits(adapted=not self._for_queries) | self._shape()

    def fingerprint(self) -> str:
        return self._fingerprint(self._weights_and_limits() | self._shape())

    def _shape(self) -> dict[str, Any]:
        prefixes = {"query_prefix": self.query_prefix, "passage_prefix": self.passage_prefix}
        return {**prefixes, "normalize": self.normalize}

    @property
    def _for_queries(self) -> bool:
        """Whether there is an adapter that is for queries only."""
        return self.adapter is not None and adapted_texts(read_adapter(self.adapter)) == "queries"

    def open(self) -> None:
        self._weights = self._load("SentenceTransformer")
        if self.max_length:
            self._weights.max_seq_length = self.max_length

    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        if not self._for_queries:
            return self._embed(batch)
        replies: dict[int, Reply | Exception] = {}
        for kind, switch in (("query", self._weights.enable_adapters), ("passage", self._weights.disable_adapters)):
            positions = [position for position, request in enumerate(batch) if request.args["kind"] == kind]
            if positions:
                switch()
                own = self._embed([batch[position] for position in positions])
                replies |= dict(zip(positions, own, strict=True))
        return [replies[position] for position in range(len(batch))]

    def _embed(self, batch: Sequence[Request]) -> list[Reply | Exception]:
        prefixes = {"query": self.query_prefix, "passage": self.passage_prefix}
        texts = [prefixes[request.args["kind"]] + request.args["text"] for request in batch]
        vectors = self._weights.encode(
            texts,
            # Prefixes are ragkit's: a prompt that the model's files name would come on top of them.
            prompt="",
            batch_size=len(texts),
            normalize_embeddings=self.normalize,
            convert_to_numpy=True,
            show_progress_bar=False,
        ).astype(np.float32)
        finite = np.isfinite(vectors).all(axis=1)
        return [
            Reply(vector, prompt_tokens=request.size) if good else RagkitError(NOT_NUMBERS)
            for vector, good, request in zip(vectors, finite, batch, strict=True)
        ]


@models.register("cross-encoder")
class CrossEncoderReranker(Reranker, SentenceTransformersResource):
    """A cross-encoder of sentence-transformers with one score per pair, on the model's own scale.

    An encoder becomes one by a head for pairs, which `ragkit tune` trains with an adapter or with the encoder itself;
    see `PairScorer`.
    """

    def fingerprint(self) -> str:
        return self._fingerprint(self._weights_and_limits())

    def open(self) -> None:
        folder = Path(self.model) if self.adapter is None else read_adapter(self.adapter).folder
        if (folder / PAIR_SETTINGS).is_file():
            self._weights = self._pair_scorer(folder)
            return
        weights = self._load("CrossEncoder", max_length=self.max_length)
        if weights.num_labels != 1:
            raise InputError(
                f"'{self.model}' gives {weights.num_labels} scores per pair, a reranker needs one: use another model"
            )
        self._weights = weights

    def _pair_scorer(self, folder: Path) -> Any:
        """Return a cross-encoder made of the encoder, its adapter if it has one, and a head for pairs."""
        from sentence_transformers import CrossEncoder
        from torch import nn

        from ragkit.models.pair_scorer import PairScorer

        encoder = self._load("SentenceTransformer")
        scorer = PairScorer.with_head(folder, encoder.transformers_model, encoder.tokenizer, self.max_length)
        return CrossEncoder(modules=[scorer], device=self.resolved_device, activation_fn=nn.Identity())

    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        pairs = [(request.args["query"], request.args["text"]) for request in batch]
        scores = self._weights.predict(pairs, batch_size=len(pairs), show_progress_bar=False)
        return [
            Reply(float(score), prompt_tokens=request.size) if np.isfinite(score) else RagkitError(NOT_NUMBERS)
            for score, request in zip(scores, batch, strict=True)
        ]


@models.register("nli-cross-encoder")
class CrossEncoderEntailment(EntailmentModel, SentenceTransformersResource):
    """A cross-encoder of sentence-transformers that classifies pairs of premise and hypothesis.

    Attributes:
        labels: what its outputs stand for, in order; None takes the names from the model's own configuration. A model
            without `neutral` and `contradiction` has `entailment` and any other name.
    """

    labels: tuple[str, ...] | None = None

    _names: tuple[str, ...] = PrivateAttr(default=())

    def fingerprint(self) -> str:
        return self._fingerprint(self._weights_and_limits() | {"labels": self.labels})

    def open(self) -> None:
        weights = self._load("CrossEncoder", max_length=self.max_length)
        of_model = weights.model.config.id2label
        names = self.labels or tuple(of_model[number] for number in range(weights.num_labels))
        self._names = tuple(name.lower() for name in names)
        if len(self._names) != weights.num_labels or self._names.count("entailment") != 1:
            raise InputError(
                f"'{self.model}' has {weights.num_labels} outputs, called {', '.join(names)}: exactly one has to be "
                "called 'entailment'; set labels to what they stand for, e.g. [contradiction, entailment, neutral]"
            )
        self._weights = weights

    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        pairs = [(request.args["premise"], request.args["hypothesis"]) for request in batch]
        outputs = self._weights.predict(pairs, batch_size=len(pairs), show_progress_bar=False)
        logits = np.asarray(outputs, dtype=np.float64)
        logprobs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        return [
            Reply(self._choice(row), prompt_tokens=request.size) if np.isfinite(row).all() else RagkitError(NOT_NUMBERS)
            for row, request in zip(logprobs, batch, strict=True)
        ]

    def _choice(self, logprobs: Any) -> dict[str, Any]:
        """Return the label of the first of the highest outputs; what is none of `ENTAILMENT` counts as neutral."""
        named: dict[str, float] = {}
        for name, value in zip(self._names, logprobs.tolist(), strict=True):
            key = name if name in ENTAILMENT else "neutral"
            named[key] = float(np.logaddexp(named[key], value)) if key in named else value
        return {"label": max(named, key=named.__getitem__), "logprobs": named}
