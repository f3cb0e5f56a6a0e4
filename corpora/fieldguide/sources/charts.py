"""Draws the charts of the field guides from YAML files; the same input always gives the same PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import yaml
from PIL import Image

matplotlib.use("Agg")
import matplotlib.pyplot as plt

COLORS = ["#2f6b45", "#b8862b", "#3d6f9e", "#a4452c", "#6d5a8c", "#7a8b2f"]
HATCHES = ["", "//", "..", "xx", "\\\\", "--"]
MARKERS = ["o", "s", "^", "D", "v", "P"]


def draw_chart(source: Path, target: Path) -> None:
    """Draw the chart that `source` describes into the PNG file `target`."""
    spec: dict[str, Any] = yaml.safe_load(source.read_text(encoding="utf-8"))
    kind, series = spec["kind"], spec["series"]
    with plt.rc_context({"font.family": "DejaVu Sans", "font.size": 9, "axes.axisbelow": True}):
        fig, ax = plt.subplots(figsize=(6.4, float(spec.get("height", 3.3))))
        if kind == "pie":
            _pie(ax, spec)
        else:
            _axes(ax, kind, spec["x"], series, bool(spec.get("labels", False)))
            ax.set_xlabel(spec.get("x_label", ""))
            ax.set_ylabel(spec.get("y_label", ""))
            ax.grid(True, axis="both" if kind in ("line", "scatter") else "y", color="#d5d9d2", linewidth=0.6)
            for side in ("top", "right"):
                ax.spines[side].set_visible(False)
            if "y_min" in spec or "y_max" in spec:
                ax.set_ylim(spec.get("y_min"), spec.get("y_max"))
            if len(series) > 1:
                ax.legend(frameon=False, fontsize=8)
        ax.set_title(spec["title"], fontsize=10, fontweight="bold", color="#1f3b2d")
        fig.tight_layout()
        fig.savefig(target, dpi=150, metadata={"Software": None})
        plt.close(fig)
    with Image.open(target) as picture:
        picture.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(target, optimize=True)


def _axes(ax: Any, kind: str, x: list[Any], series: dict[str, list[Any]], labels: bool) -> None:
    """Draw a line, scatter, bar or grouped bar chart; a value of null leaves a gap."""
    if kind in ("line", "scatter"):
        for i, (name, values) in enumerate(series.items()):
            points = [np.nan if v is None else v for v in values]
            style = {"color": COLORS[i % 6], "marker": MARKERS[i % 6], "markersize": 4.5, "label": name}
            ax.plot(x, points, linestyle="-" if kind == "line" else "none", linewidth=1.8, **style)
        return
    if kind not in ("bar", "grouped_bar"):
        raise ValueError(f"unknown chart kind {kind!r}")
    places = np.arange(len(x))
    width = 0.78 / len(series)
    for i, (name, values) in enumerate(series.items()):
        offset = (i - (len(series) - 1) / 2) * width
        heights = [0 if v is None else v for v in values]
        bars = ax.bar(places + offset, heights, width * 0.94, color=COLORS[i % 6], hatch=HATCHES[i % 6],
                      edgecolor="white", linewidth=0.5, label=name)  # fmt: skip
        if labels:
            ax.bar_label(bars, fontsize=7.5, padding=1.5)
    crowded = sum(len(str(name)) for name in x) > 70
    ax.set_xticks(places, [str(name) for name in x], rotation=25 if crowded else 0, ha="right" if crowded else "center")


def _pie(ax: Any, spec: dict[str, Any]) -> None:
    """Draw a pie of the first series with the name and share of every slice."""
    values = next(iter(spec["series"].values()))
    _, _, shares = ax.pie(
        values, labels=[str(name) for name in spec["x"]], autopct="%1.0f%%", startangle=90, counterclock=False,
        colors=[COLORS[i % 6] for i in range(len(values))], wedgeprops={"edgecolor": "white"},
    )  # fmt: skip
    for share in shares:
        share.set_color("white")
    ax.set_aspect("equal")
