"""Encoders of texts and pictures of sentence-transformers (its CLIP models)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ragkit.engine.calls import Reply, Request
from ragkit.engine.registry import models
from ragkit.errors import InputError, RagkitError, need
from ragkit.models.base import ImageEncoder
from ragkit.models.sentence_transformers_models import NOT_NUMBERS, SentenceTransformerEncoder


@models.register("sentence-transformers-images")
class SentenceTransformerImageEncoder(ImageEncoder, SentenceTransformerEncoder):
    """An encoder of sentence-transformers that takes pictures as well as texts, such as `clip-ViT-B-32`."""

    def open(self) -> None:
        need("PIL", "pillow", "a model that sees")
        super().open()
        if "image" not in self._weights.modalities:
            raise InputError(f"'{self.model}' takes no pictures: use a CLIP model of sentence-transformers")

    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        if op != "embed_image":
            return super().execute(op, batch)
        vectors: NDArray[np.float32] = self._weights.encode(
            [request.payload.open() for request in batch],
            batch_size=len(batch),
            normalize_embeddings=self.normalize,
            convert_to_numpy=True,
            show_progress_bar=False,
        ).astype(np.float32)
        return [Reply(vector) if np.isfinite(vector).all() else RagkitError(NOT_NUMBERS) for vector in vectors]
