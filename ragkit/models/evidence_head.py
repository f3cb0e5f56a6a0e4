"""The trained part of an evidence model: small networks over features, kept as safetensors and JSON."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import InputError
from ragkit.models.evidence_features import FEATURES, WordWeights

CONFIG, WEIGHTS = "evidence_config.json", "evidence.safetensors"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class EvidenceHead:
    """Several networks of one hidden layer or more, whose mean says how probable evidence is.

    Attributes:
        encoder: what the encoder was, whose similarities it was trained on.
        words: weights of words.
        mean: of each feature, in training.
        scale: standard deviation of each feature.
        layers: weights, shape (networks, inputs, outputs), and biases, shape (networks, 1, outputs), of each layer.
    """

    encoder: str
    words: WordWeights
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    layers: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]

    def logprobs(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the log-probabilities that passages are evidence and that they are not, shape (passages, 2)."""
        values = np.broadcast_to((features - self.mean) / self.scale, (len(self.layers[0][0]), *features.shape))
        for number, (weights, biases) in enumerate(self.layers):
            values = values @ weights + biases
            if number + 1 < len(self.layers):
                values = np.maximum(values, 0)
        scores = values[..., 0].astype(np.float64)
        of_networks = -np.logaddexp(0, np.stack([-scores, scores], axis=-1))
        mean: NDArray[np.float64] = np.logaddexp.reduce(of_networks, axis=0) - np.log(len(of_networks))
        return mean

    def save(self, folder: Path) -> None:
        """Write the head into a folder, which is made if need be."""
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        tensors = {"mean": self.mean, "scale": self.scale}
        for number, (weights, biases) in enumerate(self.layers):
            tensors |= {f"weights.{number}": weights, f"biases.{number}": biases}
        save_file({name: np.ascontiguousarray(value, np.float32) for name, value in tensors.items()}, folder / WEIGHTS)
        config = {
            "format": _FORMAT,
            "encoder": self.encoder,
            "features": list(FEATURES),
            "layers": len(self.layers),
            "passages": self.words.passages,
            "words": self.words.counts or {},
        }
        (folder / CONFIG).write_text(json.dumps(config, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, name: str) -> "EvidenceHead":
        """Read a head.

        Args:
            folder: where it is.
            name: what the user calls it, for messages.

        Raises:
            InputError: the files are missing, damaged, or of another version.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            tensors = load_file(folder / WEIGHTS)
            if config["format"] != _FORMAT or tuple(config["features"]) != FEATURES:
                raise InputError(f"evidence head '{name}' is of another version of ragkit: tune it again")
            layers = tuple((tensors[f"weights.{n}"], tensors[f"biases.{n}"]) for n in range(config["layers"]))
            words = WordWeights(int(config["passages"]), {str(w): int(c) for w, c in config["words"].items()})
            return cls(str(config["encoder"]), words, tensors["mean"], tensors["scale"], layers)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
            raise InputError(f"evidence head '{name}' cannot be read: {type(error).__name__}: {error}") from None


def evidence_folder(head: str) -> Path:
    """Return the folder of a head: one that ragkit ships (`embedded:<name>`), or the user's own.

    Raises:
        InputError: there is none.
    """
    from ragkit.models.adapters import SHIPPED
    from ragkit.models.embedded import PREFIX

    folder = SHIPPED / head.removeprefix(PREFIX) if head.startswith(PREFIX) else Path(head)
    if not (folder / CONFIG).is_file():
        raise InputError(f"evidence head '{head}' is not a folder with an {CONFIG}")
    return folder
