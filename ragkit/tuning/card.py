"""The card of a trained model: how it was made and what it reached, for machines (`ragkit_card.json`) and readers."""

import importlib.metadata
import json
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from ragkit.engine.run_folder import replace_file
from ragkit.evaluation.table import show_interval, show_p, show_value
from ragkit.models.adapters import adapter_folder
from ragkit.models.embedded import PREFIX, identify
from ragkit.models.local_weights import LocalWeights
from ragkit.models.revisions import CARD
from ragkit.models.secrets import mask_secrets
from ragkit.tuning.changes import Change
from ragkit.tuning.gate import GateResult

_PACKAGES = ("ragkit", "torch", "transformers", "peft", "trl", "sentence-transformers")
# An absolute path of at least two parts inside a text; those of URLs follow a host.
_PLACE = re.compile(r"(?<![\w./])/(?:[^\s/:'\",]+/)+([^\s/:'\",]*)")
_LICENCE = (
    "Derived from the base model and from the training sets above: their licences apply to it. ragkit adds no terms."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What is worth knowing of a trained model.

    Attributes:
        name: the recipe's.
        command: what made it.
        recipe: every setting, defaults written out.
        pipeline: the pipeline that it answers in, every setting.
        base: the model that was trained: `model`, `revision`, `weights` (what names them exactly), `dtype`.
        data: `sha256` of the rows, their number, where they are from, what selectors did.
        training: steps, and what the trainer noted.
        gate: the comparison with the base; None where nobody made it.
        warnings: what the checks of the training prompts found.
    """

    name: str
    command: str
    recipe: Mapping[str, Any]
    pipeline: Mapping[str, Any]
    base: Mapping[str, Any]
    data: Mapping[str, Any]
    training: Mapping[str, Any]
    gate: GateResult | None
    warnings: Sequence[str] = ()

    def to_data(self) -> dict[str, Any]:
        """Return what `ragkit_card.json` holds: no secrets, and no paths of the machine that it was written on."""
        content = asdict(self) | {"versions": _versions(), "licence": _LICENCE}
        plain: dict[str, Any] = without_places(mask_secrets(content))
        return plain

    def to_markdown(self) -> str:
        """Return the text of `README.md`."""
        return "\n".join(_markdown(self, self.to_data()))


def base_of(model: LocalWeights, start: str | None = None) -> dict[str, Any]:
    """Return what a card says of the model that was trained, and of the adapter that the training began with."""
    began = {} if start is None else {"start": start, "start_weights": identify(str(adapter_folder(start)))}
    return began | {
        "model": model.model,
        "revision": model.revision,
        "weights": identify(model.model, model.revision),
        "dtype": model.resolved_dtype,
    }


def write_card(folder: Path, card: Card) -> None:
    """Write `ragkit_card.json` and `README.md` into the folder of a trained model."""
    text = json.dumps(card.to_data(), indent=2, ensure_ascii=False, allow_nan=False)
    replace_file(folder / CARD, text + "\n")
    replace_file(folder / "README.md", card.to_markdown())


def without_places(data: Any) -> Any:
    """Return data with the names of files in the place of absolute paths."""
    if isinstance(data, Mapping):
        return {key: without_places(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [without_places(item) for item in data]
    if not isinstance(data, str):
        return data
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(data).is_absolute() and "\n" not in data:
            return kind(data).name
    return _PLACE.sub(r"\1", data)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _markdown(card: Card, data: Mapping[str, Any]) -> Iterator[str]:
    base, gate = data["base"], card.gate
    hub = base["model"] if not base["model"].startswith(PREFIX) and "/" in base["model"] else None
    yield from ("---", *([f"base_model: {hub}"] if hub else []), "tags: [ragkit]", "---", "")
    yield f"# {card.name}\n"
    verdict = "not compared with its base" if gate is None else "promoted" if gate.promoted else "**not promoted**"
    yield f"Made by `ragkit tune` on `{base['model']}` (`{base['weights']}`, {base['dtype']}): {verdict}.\n"
    if gate is not None:
        yield from (f"- {reason}" for reason in gate.reasons)
        yield ""
        yield from _results(gate)
    if card.warnings:
        yield "## Warnings\n"
        yield from (*(f"- {warning}" for warning in data["warnings"]), "")
    yield "## How it was made\n"
    yield f"    {data['command']}\n"
    yield from (
        *_list("data", data["data"]),
        *_list("training", data["training"]),
        *_list("versions", data["versions"]),
    )
    yield f"\nThe whole recipe is in `{CARD}`.\n"
    yield f"## Licence\n\n{_LICENCE}\n"


def _results(gate: GateResult) -> Iterator[str]:
    yield "## Before and after\n"
    yield (
        "On questions of the test part of each set, which no training has seen, in the same pipeline. Differences with "
        "95 % bootstrap intervals over questions; p by a paired randomisation test.\n"
    )
    yield "| set | metric | n | before | after | difference | p |"
    yield "|---|---|---:|---:|---:|---:|---:|"
    rows = {name: result.changes for name, result in gate.sets.items()}
    if len(rows) > 1:
        rows |= {"all sets": gate.pooled}
    for oracle in gate.oracles:
        rows |= {
            f"{name}, gold {oracle}": result.oracles[oracle]
            for name, result in gate.sets.items()
            if oracle in result.oracles
        }
    if gate.forgetting:
        rows |= {"forgetting probe": gate.forgetting}
    for name, found in rows.items():
        yield from (_row(name, metric, change) for metric, change in found.items() if change.quality)
    yield ""
    if gate.lost:
        yield "What it lost, by more than chance:\n"
        yield from (*(f"- {line}" for line in gate.lost), "")
    if gate.notes:
        yield from (*(f"- {note}" for note in gate.notes), "")


def _row(name: str, metric: str, change: Change) -> str:
    difference = show_value(change.difference, change.quality, signed=True)
    cells = [
        name,
        metric,
        f"{change.n:,}",
        f"{show_value(change.base.value, True)} ({show_interval(change.base.low, change.base.high, True)})",
        f"{show_value(change.tuned.value, True)} ({show_interval(change.tuned.low, change.tuned.high, True)})",
        f"{difference} ({show_interval(change.low, change.high, True)})",
        show_p(change.p),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _list(title: str, values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        shown = json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value
        yield f"- {title}, {name}: {shown}"
