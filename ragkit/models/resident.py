"""Weights in memory: one copy for all who use a model, with whatever adapters.

A model's weights are loaded once per model, number format and device, and stay as long as somebody holds a `Network`
on them. LoRA adapters stand beside the weights and are switched before every pass; a soft prompt is read before the
text. So several roles on one model cost its memory once, and none sees another's adapter.
"""

import threading
from typing import Any
from weakref import WeakValueDictionary

from ragkit.errors import need
from ragkit.models.adapters import Adapter, check_base, check_lora, read_adapter, read_soft_prompt
from ragkit.models.embedded import identify, locate, quiet_transformers


class Network:
    """A resident base with one adapter, or with none: what decoding runs.

    Attributes:
        base: the shared weights.
        soft_prompt: embeddings that stand before every prompt, shape (tokens, width); None without prompt tuning.
    """

    def __init__(self, base: "ResidentBase", lora: "_Lora | None", soft_prompt: Any) -> None:
        self.base = base
        self.soft_prompt = soft_prompt
        self._lora = lora

    @property
    def weights(self) -> Any:
        """The model of transformers, on which any adapter may be switched on at the moment."""
        return self.base.weights

    @property
    def config(self) -> Any:
        """The configuration of the model of transformers."""
        return self.weights.config

    @property
    def device(self) -> Any:
        """The device of the weights."""
        return self.weights.device

    @property
    def virtual_tokens(self) -> int:
        """How many tokens the soft prompt takes."""
        return 0 if self.soft_prompt is None else len(self.soft_prompt)

    @property
    def scored_tokens(self) -> int:
        """How many tokens the model scores; some models score more than their tokenizer has."""
        return int(self.weights.get_output_embeddings().weight.shape[0])

    @property
    def context(self) -> int | None:
        """How many tokens of text fit, None where the model does not say."""
        limit = getattr(self.config.get_text_config(), "max_position_embeddings", None)
        return None if limit is None else limit - self.virtual_tokens

    def run(self, **inputs: Any) -> Any:
        """Make one pass with this network's adapter, whatever others do with the same weights at the same time."""
        with self.base.lock:
            self.base.switch(self._lora)
            return self.weights(**inputs)


class _Lora:
    """A LoRA adapter in memory, as long as somebody holds it."""

    def __init__(self, name: str) -> None:
        self.name = name


class ResidentBase:
    """One copy of a model's weights, and the LoRA adapters beside them.

    Attributes:
        name: the model's, for messages.
        identity: what names the exact weights.
        lock: held by whoever switches adapters or runs the weights.
    """

    def __init__(self, name: str, identity: str, weights: Any) -> None:
        self.name = name
        self.identity = identity
        self.weights = weights
        self.lock = threading.RLock()
        self._peft: Any = None
        self._loras: WeakValueDictionary[str, _Lora] = WeakValueDictionary()
        self._switched_on: str | None = None

    def network(self, adapter: str | None) -> Network:
        """Return these weights with an adapter, which is loaded unless somebody holds it already.

        Raises:
            InputError: the adapter cannot be read or does not fit.
            MissingPackageError: peft is not installed.
        """
        if adapter is None:
            return Network(self, None, None)
        found = read_adapter(adapter)
        check_base(found, self.name, self.identity)
        if found.kind == "LORA":
            with self.lock:
                return Network(self, self._lora(found), None)
        if getattr(self.config, "sliding_window", None):
            raise found.misfit(self.name, "prompt tuning cannot be used with a model that looks back through a window")
        prompt = read_soft_prompt(found, self.weights.get_input_embeddings().weight.shape[1], self.name)
        return Network(self, None, prompt.to(self.weights.device, self.weights.dtype))

    @property
    def config(self) -> Any:
        """The text model's configuration."""
        return self.weights.config.get_text_config()

    def switch(self, lora: _Lora | None) -> None:
        """Switch a LoRA adapter on, or all off. The caller holds the lock."""
        name = None if lora is None else lora.name
        if name == self._switched_on:
            return
        tuner = self._peft.base_model
        if name is None:
            tuner.disable_adapter_layers()
        else:
            if self._switched_on is None:
                tuner.enable_adapter_layers()
            self._peft.set_adapter(name, inference_mode=True)
        self._switched_on = name

    def merge(self, adapter: Adapter) -> None:
        """Add a LoRA adapter to the weights for good; for weights that nobody else has yet.

        Raises:
            InputError: it does not fit, or is a soft prompt, which has nothing to merge.
            MissingPackageError: peft is not installed.
        """
        if adapter.kind != "LORA":
            raise adapter.misfit(self.name, "a soft prompt cannot be merged into weights; leave 'merge' out")
        check_base(adapter, self.name, self.identity)
        held = self._lora(adapter)
        self.switch(held)
        self.weights = self._peft.merge_and_unload()
        self._peft, self._switched_on = None, None

    def _lora(self, adapter: Adapter) -> _Lora:
        name = identify(str(adapter.folder)).replace(":", "")
        lora = self._loras.get(name)
        if lora is None:
            peft = need("peft", "'ragkit[tuning]'", "model setting 'adapter'")
            self._drop_unused()
            check_lora(adapter, dict(self.weights.named_modules()), self.name)
            self._add(peft, adapter, name)
            lora = self._loras[name] = _Lora(name)
        return lora

    def _add(self, peft: Any, adapter: Adapter, name: str) -> None:
        """Load a LoRA adapter beside the weights, switched off."""
        try:
            config = peft.PeftConfig.from_pretrained(str(adapter.folder))
            config.inference_mode = True
            with quiet_transformers():
                if self._peft is None:
                    # The adapter takes the number format of the weights: float32 beside bfloat16 reads prompts slowly.
                    self._peft = peft.PeftModel(self.weights, config, name, autocast_adapter_dtype=False)
                else:
                    self._peft.add_adapter(name, config, autocast_adapter_dtype=False)
                result = self._peft.load_adapter(
                    str(adapter.folder),
                    name,
                    torch_device=str(self.weights.device),
                    autocast_adapter_dtype=False,
                )
        except (ValueError, RuntimeError, KeyError, TypeError) as error:
            self._remove(name)
            raise adapter.misfit(self.name, " ".join(str(error).split())[:300]) from error
        # Without gradients torch multiplies a batch's last positions with a copy of the output weights for every row.
        self.weights.requires_grad_(True).eval()
        self._peft.base_model.disable_adapter_layers()
        self._switched_on = None
        strange = [*result.missing_keys, *result.unexpected_keys]
        if strange:
            self._remove(name)
            raise adapter.misfit(self.name, f"its configuration and weights disagree at '{strange[0]}'")

    def _drop_unused(self) -> None:
        """Free adapters that nobody holds any more; done when another one comes, not while others may be running."""
        for name in [] if self._peft is None else list(self._peft.peft_config):
            if name not in self._loras:
                self._remove(name)

    def _remove(self, name: str) -> None:
        """Take an adapter away; with the last one the model is again what it was without any."""
        if self._peft is None or name not in self._peft.peft_config:
            return
        if len(self._peft.peft_config) > 1:
            self._peft.delete_adapter(name)
            self._peft.base_model.disable_adapter_layers()  # deleting may have switched another one on
        else:
            self._peft.unload()
            self._peft = None
        self._switched_on = None


_BASES: WeakValueDictionary[tuple[str | None, ...], ResidentBase] = WeakValueDictionary()
_LOADING = threading.Lock()


def resident_base(model: str, revision: str | None, device: str, dtype: str, merged: str | None = None) -> ResidentBase:
    """Return the weights of a model: those that somebody holds in this process, or freshly loaded ones.

    Args:
        model: `embedded:<name>`, a local folder or a hub id.
        revision: of a hub model.
        device: where they are to be.
        dtype: their number format.
        merged: an adapter that is merged into a copy of the weights.

    Raises:
        InputError: there is no such model, or the adapter cannot be merged into it.
        MissingPackageError: the embedded model's package, or peft, is not installed.
    """
    adapter = None if merged is None else read_adapter(merged)
    identity = identify(model, revision)
    key = (identity, device, dtype, None if adapter is None else identify(str(adapter.folder)))
    with _LOADING:
        base = _BASES.get(key)
        if base is None:
            base = ResidentBase(model, identity, _load(model, revision, device, dtype))
            if adapter is not None:
                base.merge(adapter)
            _BASES[key] = base
        return base


def _load(model: str, revision: str | None, device: str, dtype: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    path, revision = locate(model, revision)
    with quiet_transformers():
        weights = AutoModelForCausalLM.from_pretrained(path, revision=revision, dtype=getattr(torch, dtype))
    return weights.to(device).eval()
