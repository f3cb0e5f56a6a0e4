"""What judges said of a run's answers."""

from collections import defaultdict
from pathlib import Path

import yaml

from ragkit.engine.run_folder import read_lines

Judgement = tuple[str, str]
"""A judge's name and what it found, as YAML."""


def judgements_of(run: Path) -> dict[str, list[Judgement]]:
    """Return what the judges found, by question; nothing of questions that they have nothing to tell about."""
    found: dict[str, list[Judgement]] = defaultdict(list)
    for row in read_lines(run / "judgements.jsonl"):
        told = row["details"] | ({"not measured": row["failures"]} if row["failures"] else {})
        if told:
            text = yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=100).strip()
            found[row["id"]].append((row["judge"], text))
    return found
