"""Checkpoints of trainings that are no trainer's of transformers: adapter, optimiser and log, without pickle."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ragkit.engine.run_folder import replace_file
from ragkit.models.adapters import WEIGHTS
from ragkit.tuning.objectives import trainer as shared

_OPTIMISER, _STATE, _KEPT = "optimizer.safetensors", "trainer_state.json", 2


def write(folder: Path, weights: Any, optimizer: Any, log: Sequence[dict[str, float]]) -> None:
    """Write a checkpoint and leave the two newest.

    Args:
        folder: of the checkpoints.
        weights: a PEFT model; its adapter `default` is kept.
        optimizer: an AdamW, of torch or of ragkit.
        log: a row for each step so far.
    """
    from safetensors.torch import save_file

    target = folder / f"checkpoint-{len(log)}"
    shutil.rmtree(target, ignore_errors=True)
    with shared.silenced():
        weights.save_pretrained(str(target), selected_adapters=["default"])
    state = optimizer.state_dict()
    tensors = {f"state.{place}.{name}": value for place, own in state["state"].items() for name, value in own.items()}
    tensors |= {f"masters.{place}": value for place, value in enumerate(state.get("masters", ()))}
    save_file({name: value.contiguous() for name, value in tensors.items()}, target / _OPTIMISER)
    replace_file(target / _STATE, json.dumps({"log": list(log)}, indent=1) + "\n")  # last: now it is whole
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    for old in found[:-_KEPT]:
        shutil.rmtree(old)


def read(checkpoint: Path, weights: Any, optimizer: Any) -> tuple[int, list[dict[str, float]]]:
    """Give adapter and optimiser what a checkpoint holds of them; return the steps that were made, and their log."""
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    set_peft_model_state_dict(weights, load_file(checkpoint / WEIGHTS), adapter_name="default")
    state = optimizer.state_dict()
    places: dict[int, dict[str, Any]] = {}
    masters: dict[int, Any] = {}
    for name, value in load_file(checkpoint / _OPTIMISER).items():
        kind, place, *rest = name.split(".")
        if kind == "masters":
            masters[int(place)] = value
        else:
            places.setdefault(int(place), {})[".".join(rest)] = value
    state["state"] = places
    if masters:
        state["masters"] = [masters[place] for place in sorted(masters)]
    optimizer.load_state_dict(state)
    log = json.loads((checkpoint / _STATE).read_text(encoding="utf-8"))["log"]
    return len(log), log
