"""Runs side by side as a page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ragkit.evaluation.report.pack import block, dump
from ragkit.evaluation.report.page import write_page


def write_comparison(path: str | Path, comparison: Mapping[str, Any]) -> None:
    """Write a comparison of runs as one HTML file: differences, won and lost questions, quality against cost.

    Args:
        path: the file to write.
        comparison: the content of `compare.json`; see `ragkit.evaluation.compare.Comparison`.
    """
    title = " and ".join(Path(run["run"]).name for run in comparison["runs"])
    write_page(Path(path), f"Comparison of {title}", "comparison", [("comparison", block(dump(comparison)))])
