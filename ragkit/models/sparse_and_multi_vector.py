"""Learned sparse and late-interaction encoders of sentence-transformers in this process."""

import itertools
import json
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from ragkit.engine.calls import Reply, Request
from ragkit.engine.registry import models
from ragkit.errors import InputError, RagkitError
from ragkit.models.base import MultiVectorEncoder, SparseEncoder
from ragkit.models.embedded import locate
from ragkit.models.sentence_transformers_models import NOT_NUMBERS, SentenceTransformersResource


class _TrainedEncoder(SentenceTransformersResource):
    """What both kinds share: the model's own prompts for queries and passages, and layers that were trained.

    sentence-transformers turns any encoder into one of these kinds by adding layers with random weights; such a model
    is refused, because it would give other vectors each time it is loaded.
    """

    _kind: ClassVar[str]
    _types: ClassVar[tuple[str, ...]]
    _architectures: ClassVar[tuple[str, ...]]

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what an index must know of its encoder."""

    def fingerprint(self) -> str:
        return self._fingerprint(self.describe())

    def open(self) -> None:
        self._check_trained()
        self._weights = self._load(self._kind)
        if self.max_length:
            self._weights.max_seq_length = self.max_length

    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        replies: list[Reply | Exception] = [RagkitError(NOT_NUMBERS)] * len(batch)
        for kind in ("query", "passage"):
            chosen = [number for number, request in enumerate(batch) if request.args["kind"] == kind]
            if not chosen:
                continue
            encode = self._weights.encode_query if kind == "query" else self._weights.encode_document
            values = self._encode(encode, [batch[number].args["text"] for number in chosen])
            for number, value in zip(chosen, values, strict=True):
                if value is not None:
                    replies[number] = Reply(value, prompt_tokens=batch[number].size)
        return replies

    @abstractmethod
    def _encode(self, encode: Any, texts: list[str]) -> list[Any]:
        """Return the value of each reply, None where the model's output is not numbers."""

    def _check_trained(self) -> None:
        path, revision = locate(self.model, self.revision)
        kind = _read(path, revision, "config_sentence_transformers.json").get("model_type")
        architectures = _read(path, revision, "config.json").get("architectures") or []
        if kind in self._types or any(name.endswith(self._architectures) for name in architectures):
            return
        raise InputError(
            f"'{self.model}' was not trained as a {self._kind}: sentence-transformers would add layers with random "
            f"weights; use a model of that kind"
        )


@models.register("sparse-encoder")
class SentenceTransformerSparseEncoder(SparseEncoder, _TrainedEncoder):
    """A learned sparse encoder (SPLADE and its kin) of sentence-transformers.

    Source: Formal et al. 2021, SPLADE: sparse lexical and expansion model for first stage ranking, arXiv 2107.05720.

    Attributes:
        max_active: the most dimensions of a text that are kept, the heaviest; None is the model's own limit.
    """

    _kind = "SparseEncoder"
    _types = ("SparseEncoder",)
    _architectures = ("ForMaskedLM",)

    max_active: int | None = Field(default=None, ge=1)

    def describe(self) -> dict[str, Any]:
        return {**self._weights_and_limits(), "max_active": self.max_active}

    def _encode(self, encode: Any, texts: list[str]) -> list[Any]:
        vectors = encode(
            texts, batch_size=len(texts), max_active_dims=self.max_active, save_to_cpu=True, show_progress_bar=False
        )
        rows = vectors.float().coalesce().to_sparse_csr()
        starts, dimensions, weights = (
            rows.crow_indices().numpy(), rows.col_indices().numpy(), rows.values().numpy(),
        )  # fmt: skip
        return [
            {"dimensions": dimensions[start:end].tolist(), "weights": weights[start:end].tolist()}
            if np.isfinite(weights[start:end]).all()
            else None
            for start, end in itertools.pairwise(starts)
        ]


@models.register("multi-vector-encoder")
class SentenceTransformerMultiVectorEncoder(MultiVectorEncoder, _TrainedEncoder):
    """A late-interaction encoder (ColBERT and its kin) of sentence-transformers; vectors have length 1.

    Source: Khattab and Zaharia 2020, ColBERT: efficient and effective passage search, arXiv 2004.12832.
    """

    _kind = "MultiVectorEncoder"
    _types = ("MultiVectorEncoder", "ColBERT")
    _architectures = ("HF_ColBERT", "ForRetrieval")

    def describe(self) -> dict[str, Any]:
        return self._weights_and_limits()

    def _encode(self, encode: Any, texts: list[str]) -> list[Any]:
        matrices = encode(
            texts, batch_size=len(texts), convert_to_numpy=True, normalize_embeddings=True, show_progress_bar=False
        )
        vectors = [matrix.astype(np.float32) for matrix in matrices]
        return [matrix if np.isfinite(matrix).all() else None for matrix in vectors]


def _read(path: str, revision: str | None, name: str) -> dict[str, Any]:
    """Return a JSON file of a model folder or a hub model, {} if it has none."""
    from sentence_transformers.util import load_file_path

    file = load_file_path(path, name, revision=revision)
    found: dict[str, Any] = json.loads(Path(file).read_text(encoding="utf-8")) if file else {}
    return found
