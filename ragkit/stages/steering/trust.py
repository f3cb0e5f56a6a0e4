"""A small classifier that says from vectors whether a passage can be relied on for a question."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import InputError, did_you_mean
from ragkit.models.adapters import SHIPPED
from ragkit.models.base import Encoder
from ragkit.models.embedded import PREFIX

CLASSIFIER = "trust.json"
"""What the file of a classifier that ragkit ships is called, in a folder of its name."""


def classifier_file(name: str) -> Path:
    """Return the file of a classifier: one that ragkit ships (`embedded:<name>`), or the user's own.

    Raises:
        InputError: ragkit ships none of this name.
    """
    if not name.startswith(PREFIX):
        return Path(name)
    shipped = sorted(path.parent.name for path in SHIPPED.glob(f"*/{CLASSIFIER}"))
    wanted = name.removeprefix(PREFIX)
    if wanted not in shipped:
        known = ", ".join(shipped) or "none"
        raise InputError(f"unknown embedded classifier '{name}'{did_you_mean(wanted, shipped)} (there are: {known})")
    return SHIPPED / wanted / CLASSIFIER


async def trust_features(encoder: Encoder, question: str, text: str) -> NDArray[np.float64]:
    """Return what the classifier sees of a question and a text.

    Of the text as a whole, and of its sentence that is nearest to the question: the vector, and how it lies to the
    question's. A false claim is one sentence, whatever else stands around it.

    Returns:
        Shape (6 x dimension,).
    """
    from sentencex import segment

    sentences = [sentence for piece in segment("en", text) if (sentence := piece.strip())] or [text]
    asked, whole, *parts = await asyncio.gather(
        *(encoder.embed(one, "passage") for one in (question, text, *sentences))
    )
    nearest = max(parts, key=lambda part: float(part @ asked))
    seen = [feature for one in (whole, nearest) for feature in (one, asked * one, np.abs(asked - one))]
    return np.concatenate(seen).astype(np.float64)


@dataclass(frozen=True, slots=True)
class TrustClassifier:
    """A logistic regression on `trust_features`.

    Attributes:
        weights: shape (6 x dimension,).
        bias: of the same.
        encoder: description of the encoder whose vectors it was fitted on.
        notes: what it was fitted on, and how well it did, as JSON data.
    """

    weights: NDArray[np.float64]
    bias: float
    encoder: dict[str, Any]
    notes: dict[str, Any]

    @classmethod
    def fit(
        cls,
        features: Sequence[NDArray[np.float64]],
        reliable: Sequence[bool],
        *,
        encoder: dict[str, Any],
        notes: dict[str, Any],
        regularisation: float = 1.0,
    ) -> Self:
        """Fit it; the same rows give the same classifier.

        Args:
            features: of each pair of question and text.
            reliable: whether the text can be relied on.
            encoder: `describe()` of the encoder.
            notes: to be kept with it.
            regularisation: strength of the L2 penalty (scikit-learn's 1 / C).

        Raises:
            InputError: the labels are all the same.
        """
        from sklearn.linear_model import LogisticRegression

        if len(set(reliable)) < 2:
            raise InputError("a trust classifier needs reliable and unreliable texts, and all labels are the same")
        model = LogisticRegression(C=1 / regularisation, class_weight="balanced", max_iter=2000)
        model.fit(np.stack(features), np.asarray(reliable))
        return cls(model.coef_[0].astype(np.float64), float(model.intercept_[0]), encoder, notes)

    def probability(self, features: NDArray[np.float64]) -> float:
        """Return how probably a text can be relied on."""
        score = float(features @ self.weights) + self.bias
        return float(1 / (1 + np.exp(-np.clip(score, -500, 500))))

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        content = {
            "encoder": self.encoder,
            "notes": self.notes,
            "bias": self.bias,
            "weights": [round(weight, 6) for weight in self.weights.tolist()],
        }
        path.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read it.

        Raises:
            InputError: there is no such file, or it holds no classifier.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            weights = np.asarray(content["weights"], dtype=np.float64)
            if weights.ndim != 1 or not np.isfinite(weights).all() or not len(weights):
                raise ValueError("the weights are no list of numbers")
            return cls(weights, float(content["bias"]), dict(content["encoder"]), dict(content["notes"]))
        except FileNotFoundError:
            raise InputError(f"{path}: no such file; `ragkit steer trust` makes a trust classifier") from None
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: is no trust classifier: {error}") from None
