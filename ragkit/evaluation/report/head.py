"""What stands at the top of a report: the run, its figures, its funnel, its times, its settings."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from ragkit.evaluation.about import ABOUT
from ragkit.evaluation.report.timing import StageTime
from ragkit.evaluation.summary import Group, Summary

_DESCRIBED = ("model", "device", "dtype", "adapter")


def head(
    title: str,
    summary: Summary,
    settings: Mapping[str, Any],
    times: Mapping[str, StageTime],
    run: Path | None,
) -> dict[str, Any]:
    """Return the figures of a run as the page shows them; what the run folder does not hold is None."""
    return {
        "title": title,
        "about": _json_file(run, ABOUT),
        "steps": _steps(settings.get("pipeline")),
        "models": _models(settings.get("fingerprints", {})),
        "confidence": 95,
        "overall": _group(summary.overall),
        "types": [_group(group) | {"type": name} for name, group in summary.types.items()],
        "flags": summary.flags,
        "quality": summary.quality,
        "funnel": _json_file(run, "funnel.json"),
        "curves": summary.curves,
        "agreement": [
            {"judge": judge} | pair for judge, told in summary.judges.items() for pair in told.get("agreement", ())
        ],
        "times": [{"stage": stage} | asdict(time) for stage, time in times.items()],
        "settings": [[name, _as_yaml(value)] for name, value in settings.items()],
    }


def _group(group: Group) -> dict[str, Any]:
    return asdict(group)


def _json_file(run: Path | None, name: str) -> Any:
    """Return the content of one of the run's files, None where the run has no such file."""
    if run is None or not (run / name).exists():
        return None
    return json.loads((run / name).read_text(encoding="utf-8"))


def _steps(nodes: Any) -> list[str]:
    """Return the stages and control nodes of a pipeline's data by name, outermost only."""
    if not isinstance(nodes, Sequence) or isinstance(nodes, str):
        return []
    return [next(iter(node)) if isinstance(node, Mapping) and node else str(node) for node in nodes]


def _models(fingerprints: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return what the lock knows of each model: which one, on what device, in what precision."""
    models = []
    for name, fingerprint in fingerprints.items():
        try:
            known = json.loads(fingerprint)
        except ValueError:
            continue  # an index, which has a hash instead of a description
        if isinstance(known, dict):
            facts = {key: known[key] for key in _DESCRIBED if known.get(key)}
            models.append({"name": name} | facts)
    return models


def _as_yaml(value: Any) -> str:
    if isinstance(value, str):
        return value
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100).removesuffix("...\n").strip()
