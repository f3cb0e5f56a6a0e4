"""What judges said of a run's answers."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

from ragkit.engine.run_folder import read_lines

Judgement = tuple[str, str]
"""A judge's name and what it found, as YAML."""


def judgements_of(run: Path) -> dict[str, list[Judgement]]:
    """Return what the judges found, by question; nothing of questions that they have nothing to tell about."""
    found: dict[str, list[Judgement]] = defaultdict(list)
    for row in read_lines(run / "judgements.jsonl"):
        failed = row["failures"]
        # The judge's own figure fails with those of its models, in their words: it is told where it fails alone.
        reasons = {name: why for name, why in failed.items() if name} or failed.get("")
        told = _rounded(row["details"]) | ({"not measured": reasons} if reasons else {})
        if told:
            text = yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=100).strip()
            found[row["id"]].append((row["judge"], text))
    return found


def _rounded(value: Any) -> Any:
    """Return data with its numbers to four digits."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
