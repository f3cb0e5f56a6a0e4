"""Runs side by side as a page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ragkit.evaluation.report.pack import block, dump
from ragkit.evaluation.report.page import write_page


def write_comparison(path: str | Path, comparison: Mapping[str, Any]) -> None:
    """Write a comparison of runs, the content of `compare.json`, as one HTML file."""
    title = "Comparison"
    write_page(Path(path), title, "comparison", [("comparison", block(dump(comparison)))])
