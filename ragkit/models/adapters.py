"""PEFT adapters on disk: where they are, what kind they are, and whether they fit a model."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from ragkit.errors import InputError, did_you_mean
from ragkit.models.embedded import PREFIX
from ragkit.models.revisions import CARD

WEIGHTS = "adapter_model.safetensors"
SHIPPED = Path(__file__).parent.parent / "adapters"

ENCODER = "ragkit_encoder.json"
"""What an adapter for encoders says of itself: `{"texts": "queries"}` if it is for queries only."""

PAIR_SETTINGS = "pair_scorer.json"
"""Beside an adapter that makes a reranker of an encoder: the settings of its head for pairs."""

CLASSIFIER_SETTINGS = "classifier.json"
"""Beside an adapter that makes a classifier of an encoder: the settings of its head, with the labels."""

Kind = Literal["LORA", "PROMPT_TUNING"]
Texts = Literal["all", "queries"]

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_PART = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_(?:embedding_)?([AB])(?:\.weight)?")


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter's folder.

    Attributes:
        name: as the user wrote it, for messages.
        trained_on: the base model that its configuration names; empty if it names none.
    """

    name: str
    folder: Path
    kind: Kind
    trained_on: str

    def misfit(self, model: str, reason: str) -> InputError:
        """Return the error that names the adapter and the model that it does not fit."""
        trained_on = f" (trained on '{self.trained_on}')" if self.trained_on else ""
        return InputError(f"adapter '{self.name}'{trained_on} does not fit the model '{model}': {reason}")


def adapter_folder(adapter: str) -> Path:
    """Return the folder of an adapter: one that ragkit ships (`embedded:<name>`), or the user's own.

    Raises:
        InputError: there is none.
    """
    if adapter.startswith(PREFIX):
        name = adapter.removeprefix(PREFIX)
        shipped = sorted(path.parent.name for path in SHIPPED.glob("*/adapter_config.json"))
        if name not in shipped:
            known = ", ".join(shipped) or "none"
            raise InputError(f"unknown embedded adapter '{adapter}'{did_you_mean(name, shipped)} (there are: {known})")
        return SHIPPED / name
    folder = Path(adapter)
    if not (folder / "adapter_config.json").is_file():
        raise InputError(f"adapter '{adapter}' is not a folder with an adapter_config.json")
    return folder


def read_adapter(adapter: str) -> Adapter:
    """Return an adapter's folder and kind, without loading a model library.

    Raises:
        InputError: there is none, it is of a kind that cannot be used, or its weights are missing or a pickle.
    """
    folder = adapter_folder(adapter)
    try:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"adapter '{adapter}': adapter_config.json cannot be read: {error}") from None
    kind = config.get("peft_type") if isinstance(config, dict) else None
    if kind not in ("LORA", "PROMPT_TUNING"):
        raise InputError(
            f"adapter '{adapter}' is of the type {kind!r}; LORA and PROMPT_TUNING can be switched on a shared model "
            "(merge any other into the weights with PEFT and use the merged folder as the model)"
        )
    if config.get("bias", "none") != "none":
        raise InputError(
            f"adapter '{adapter}' has biases (bias: {config['bias']}), which stay when it is switched off and "
            "would change the model for others: train it with bias: none"
        )
    if not (folder / WEIGHTS).is_file():
        hint = "; a .bin file is a pickle, which can run code: save the adapter as safetensors"
        pickled = hint if any(folder.glob("*.bin")) else ""
        raise InputError(f"adapter '{adapter}' has no {WEIGHTS}{pickled}")
    return Adapter(adapter, folder, cast("Kind", kind), str(config.get("base_model_name_or_path") or ""))


def adapted_texts(adapter: Adapter) -> Texts:
    """Return which texts an encoder's adapter is for: queries only if it says so.

    Raises:
        InputError: what it says of itself cannot be read.
    """
    try:
        found = json.loads((adapter.folder / ENCODER).read_text(encoding="utf-8"))["texts"]
    except FileNotFoundError:
        return "all"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"adapter '{adapter.name}': {ENCODER} cannot be read: {error}") from None
    if found not in get_args(Texts):
        raise InputError(f"adapter '{adapter.name}': {ENCODER} says texts '{found}' (known: all, queries)")
    return cast("Texts", found)


def check_base(adapter: Adapter, model: str, weights: str) -> None:
    """Compare what an adapter was trained on with the model.

    The card that `ragkit tune` writes names exact weights; they are compared where both are named in the same way (as
    packages, as files, as commits of a hub). Without a card, the name in the adapter's configuration is compared where
    both are hub ids: folders have other names on other machines, there `check_lora` and `read_soft_prompt` compare
    what has to fit.

    Args:
        adapter: the adapter.
        model: the model's name.
        weights: what names its exact weights; see `ragkit.models.embedded.identify`.

    Raises:
        InputError: they are two different models, or the card is damaged.
    """
    trained = _weights_of_card(adapter)
    if trained is not None and _way(trained) == _way(weights):
        if trained != weights:
            raise adapter.misfit(model, f"it was trained on the weights {trained}, these are {weights}")
        return
    local = model.startswith(PREFIX) or Path(model).exists() or Path(adapter.trained_on).exists()
    if not local and _HUB_ID.fullmatch(adapter.trained_on) and adapter.trained_on != model:
        raise adapter.misfit(model, "it was trained on another model")


def _weights_of_card(adapter: Adapter) -> str | None:
    """Return what names the weights that an adapter's card says it was trained on; None without a card."""
    path = adapter.folder / CARD
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["base"]["weights"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"adapter '{adapter.name}': {CARD} does not say what it was trained on ({type(error).__name__}: {error}); "
            "remove the file to use the adapter without that check"
        ) from None


def _way(weights: str) -> str:
    """Return the way in which weights are named: by their files, as a package, or by a hub's commit."""
    return "files" if weights.startswith("sha256:") else "package" if "==" in weights else "commit"


def check_lora(adapter: Adapter, modules: Mapping[str, Any], model: str) -> None:
    """See that every part of a LoRA adapter has a module of the model to stand at, with its size.

    Args:
        adapter: the adapter.
        modules: the model's modules by name.
        model: the model's name, for messages.

    Raises:
        InputError: a part fits nowhere; names adapter and model.
    """
    from safetensors import safe_open

    with safe_open(adapter.folder / WEIGHTS, framework="numpy") as file:
        shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118 - no mapping
    parts = {key: match for key in shapes if (match := _PART.fullmatch(key))}
    if not parts:
        raise adapter.misfit(model, f"{WEIGHTS} holds no LoRA weights")
    for key, match in parts.items():
        target = modules.get(match[1])
        if target is None:
            raise adapter.misfit(model, f"the model has no module '{match[1]}'")
        weight = getattr(target, "base_layer", target).weight
        size = shapes[key][1 if match[2] == "A" else 0]
        if size not in weight.shape:
            shape = " x ".join(map(str, weight.shape))
            raise adapter.misfit(model, f"'{match[1]}' is {shape} in the model, but {size} wide in the adapter")


def read_soft_prompt(adapter: Adapter, width: int, model: str) -> Any:
    """Return the tensor of a prompt-tuning adapter, shape (virtual tokens, width of the model).

    Raises:
        InputError: it is not of the model's width; names adapter and model.
    """
    from safetensors.torch import load_file

    tensors = load_file(adapter.folder / WEIGHTS)
    prompt = tensors.get("prompt_embeddings")
    if prompt is None or prompt.ndim != 2:
        raise adapter.misfit(model, f"{WEIGHTS} holds no table of prompt embeddings")
    if prompt.shape[1] != width:
        raise adapter.misfit(model, f"the model's embeddings are {width} wide, the adapter's {prompt.shape[1]}")
    return prompt
