"""Encoders of pictures through transformers: one vector (CLIP, SigLIP), or one for each patch (ColPali, ColQwen)."""

import json
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr

from ragkit.engine.calls import Batching, Reply, Request
from ragkit.engine.registry import models
from ragkit.errors import InputError, RagkitError, need
from ragkit.models.base import ImageEncoder, PageEncoder
from ragkit.models.devices import check
from ragkit.models.embedded import identify, locate, quiet_transformers
from ragkit.models.local_weights import LocalWeights
from ragkit.models.sentence_transformers_models import NOT_NUMBERS


class VisionWeights(LocalWeights):
    """A model and its processor, which turns texts and pictures into what the model takes.

    Attributes:
        max_batch_size: the most texts or pictures of one batch.
        max_length: tokens after which a text is cut; None is the model's own limit.
    """

    max_batch_size: int = Field(default=8, ge=1)
    max_length: int | None = Field(default=None, ge=1)

    _weights: Any = PrivateAttr(default=None)
    _processor: Any = PrivateAttr(default=None)

    def describe(self) -> dict[str, Any]:
        """Return what an index must know of its encoder; two with the same description give the same vectors."""
        identity = identify(self.model, self.revision)
        return {"model": identity, "max_length": self.max_length, "dtype": self.resolved_dtype}

    def fingerprint(self) -> str:
        return json.dumps(
            {"class": type(self).__name__, "device": self.resolved_device.split(":")[0], **self.describe()}
        )

    def batching(self) -> Batching:
        return Batching(requests=self.max_batch_size, tokens=1_000_000_000)

    def open(self) -> None:
        need("PIL", "pillow", "a model that sees")
        import torch
        import transformers

        check(self.device, self.resolved_device)
        path, revision = locate(self.model, self.revision)
        with quiet_transformers():
            config = transformers.AutoConfig.from_pretrained(path, revision=revision)
            weights = self._class(config).from_pretrained(
                path, revision=revision, dtype=getattr(torch, self.resolved_dtype)
            )
            self._processor = transformers.AutoProcessor.from_pretrained(path, revision=revision)
        self._weights = weights.to(self.resolved_device).eval()

    def close(self) -> None:
        self._weights = self._processor = None
        self._opened = False

    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        import torch

        with torch.inference_mode():
            if op in ("embed", "embed_tokens"):
                found = self._texts([request.args["text"] for request in batch])
            else:
                found = self._pictures([request.payload.open() for request in batch])
        return [
            Reply(value) if np.isfinite(value).all() else RagkitError(NOT_NUMBERS) for value in found
        ]  # fmt: skip

    @abstractmethod
    def _class(self, config: Any) -> Any:
        """Return the class of transformers that loads the weights.

        Raises:
            InputError: the model is of another kind.
        """

    @abstractmethod
    def _texts(self, texts: list[str]) -> Sequence[NDArray[np.float32]]:
        """Return a vector, or the vectors of the tokens, of each text."""

    @abstractmethod
    def _pictures(self, pictures: list[Any]) -> Sequence[NDArray[np.float32]]:
        """Return a vector, or the vectors of the patches, of each picture."""

    def _inputs(self, **given: Any) -> Any:
        """Return what the processor makes, on the device of the weights; numbers in their format."""
        made = self._processor(return_tensors="pt", **given).to(self.resolved_device)
        for name, value in made.items():
            if value.is_floating_point():
                made[name] = value.to(self._weights.dtype)
        return made


@models.register("image-encoder")
class TransformersImageEncoder(VisionWeights, ImageEncoder):
    """A model with a vector for a text and for a picture, in one space: CLIP, SigLIP and their kin.

    Source: Radford et al. 2021, Learning transferable visual models from natural language supervision, arXiv
    2103.00020.
    """

    def _class(self, config: Any) -> Any:
        import transformers

        model = transformers.AutoModel
        mapped = model._model_mapping.get(type(config), None)
        if mapped is None or not hasattr(mapped, "get_image_features"):
            raise InputError(f"'{self.model}' ({config.model_type}) has no vectors of pictures: use a CLIP or SigLIP")
        return model

    def _texts(self, texts: list[str]) -> Sequence[NDArray[np.float32]]:
        limit = self.max_length or self._limit()
        # SigLIP was trained on texts padded to its full length, CLIP on any.
        padding = "max_length" if "siglip" in self._weights.config.model_type else True
        inputs = self._inputs(text=texts, padding=padding, truncation=True, max_length=limit)
        return _rows(self._weights.get_text_features(**inputs))

    def _pictures(self, pictures: list[Any]) -> Sequence[NDArray[np.float32]]:
        return _rows(self._weights.get_image_features(**self._inputs(images=pictures)))

    def _limit(self) -> int:
        """Return the number of tokens that the text side has positions for."""
        config = self._weights.config
        return int(getattr(config, "text_config", config).max_position_embeddings)


@models.register("page-encoder")
class TransformersPageEncoder(VisionWeights, PageEncoder):
    """A model with a vector for each token of a query and each patch of a picture: ColPali, ColQwen and their kin.

    Source: Faysse et al. 2024, ColPali: efficient document retrieval with vision language models, arXiv 2407.01449.
    """

    _ending: ClassVar[str] = "ForRetrieval"

    def _class(self, config: Any) -> Any:
        import transformers

        names = [name for name in config.architectures or () if name.endswith(self._ending)]
        found = getattr(transformers, names[0], None) if names else None
        if found is None:
            raise InputError(
                f"'{self.model}' ({', '.join(config.architectures or ['?'])}) is no late-interaction model of pages: "
                "use a ColPali or ColQwen in transformers' form (the names end in -hf)"
            )
        return found

    def _texts(self, texts: list[str]) -> Sequence[NDArray[np.float32]]:
        limit = {} if self.max_length is None else {"max_length": self.max_length, "truncation": True}
        return self._lists(self._inputs(text=texts, **limit))

    def _pictures(self, pictures: list[Any]) -> Sequence[NDArray[np.float32]]:
        inputs = self._inputs(images=pictures)
        inputs.pop("labels", None)  # for training; ColPali's processor makes them always
        return self._lists(inputs)

    def _lists(self, inputs: Any) -> list[NDArray[np.float32]]:
        """Return the vectors of each input without those of padding."""
        vectors = self._weights(**inputs).embeddings.float().cpu().numpy()
        kept = inputs["attention_mask"].bool().cpu().numpy()
        return [own[mask] for own, mask in zip(vectors, kept, strict=True)]


def _rows(output: Any) -> Sequence[NDArray[np.float32]]:
    """Return vectors of length 1."""
    features = getattr(output, "pooler_output", output).float()
    rows: Sequence[NDArray[np.float32]] = (features / features.norm(dim=-1, keepdim=True)).cpu().numpy()
    return rows
