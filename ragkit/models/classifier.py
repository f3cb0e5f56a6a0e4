"""Classifiers made of an encoder by `ragkit tune`: of texts, and of pairs of premise and hypothesis."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import PrivateAttr

from ragkit.engine.calls import Reply, Request
from ragkit.engine.registry import models
from ragkit.errors import InputError, RagkitError
from ragkit.models.adapters import CLASSIFIER_SETTINGS, read_adapter
from ragkit.models.base import ENTAILMENT, EntailmentModel, TextClassifier
from ragkit.models.sentence_transformers_models import NOT_NUMBERS, SentenceTransformersResource


@models.register("classifier")
class ClassifierModel(EntailmentModel, TextClassifier, SentenceTransformersResource):
    """An encoder of sentence-transformers with a trained head that classifies; see `ClassifierHead`.

    `classify` takes a text and knows the labels that it was trained with; `entail` takes a pair and needs a head that
    was trained with `entailment`, `neutral` and `contradiction`. The head comes with `adapter`, or `model` is a folder
    of an encoder that was trained as a whole. `max_length` is that of a text or premise, instead of the trained one.
    """

    _names: tuple[str, ...] = PrivateAttr(default=())

    def fingerprint(self) -> str:
        return self._fingerprint(self._weights_and_limits())

    def open(self) -> None:
        from ragkit.models.classifier_head import ClassifierHead

        folder = Path(self.model) if self.adapter is None else read_adapter(self.adapter).folder
        if not (folder / CLASSIFIER_SETTINGS).is_file():
            raise InputError(
                f"'{self.adapter or self.model}' holds no classifier ({CLASSIFIER_SETTINGS}): name an adapter that "
                "`ragkit tune` trained with the objective 'classifier'"
            )
        encoder = self._load("SentenceTransformer")
        head = ClassifierHead.with_head(folder, encoder.transformers_model, encoder.tokenizer, self.max_length)
        self._names = tuple(head.settings["labels"])
        self._weights = head.to(self.resolved_device).eval()

    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        import torch

        if op == "entail" and set(self._names) != set(ENTAILMENT):
            wrong = InputError(
                f"'{self.adapter or self.model}' tells {', '.join(self._names)}, which is no entailment "
                f"({', '.join(ENTAILMENT)})"
            )
            return [wrong] * len(batch)
        pairs = [
            (request.args["hypothesis"], request.args["premise"]) if op == "entail" else ("", request.args["text"])
            for request in batch
        ]
        features = self._weights.preprocess(pairs)
        with torch.inference_mode():
            on_device = {name: tensor.to(self.resolved_device) for name, tensor in features.items()}
            outputs = self._weights(on_device)["scores"].double().cpu().numpy()
        logprobs = outputs - np.logaddexp.reduce(outputs, axis=1, keepdims=True)
        return [
            Reply(self._choice(row), prompt_tokens=request.size) if np.isfinite(row).all() else RagkitError(NOT_NUMBERS)
            for row, request in zip(logprobs, batch, strict=True)
        ]

    def _choice(self, logprobs: Any) -> dict[str, Any]:
        named = dict(zip(self._names, logprobs.tolist(), strict=True))
        return {"label": max(named, key=named.__getitem__), "logprobs": named}
