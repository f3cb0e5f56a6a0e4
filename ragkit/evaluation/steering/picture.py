"""The picture of behaviour curves, as PNG."""

import io
from collections.abc import Sequence

import numpy as np

from ragkit.errors import need
from ragkit.evaluation.steering.curve import Curve

_TITLES = {"association": "association strength of bad content", "quality": "response quality (0-100)"}


def draw(curves: Sequence[Curve]) -> bytes:
    """Return the scores of one or several pipelines over the share of bad fragments, a panel for each score.

    Bars are 95 % intervals; the line through the association strength is the form that fits best.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    need("matplotlib", "'ragkit[plots]'", "drawing curves")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for curve in curves for name in curve.scores))
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(4.6 * columns, 3.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for place, name in enumerate(names, 1):
        axes = figure.add_subplot(rows, columns, place)
        for curve in curves:
            score = curve.scores.get(name)
            if score is None:
                continue
            x = np.array([point.proportion for point in score.points])
            y = np.array([point.mean for point in score.points])
            ends = np.array([[p.mean - p.low, p.high - p.mean] for p in score.points]).T.clip(min=0)
            drawn = axes.errorbar(x, y, yerr=ends, fmt="o", markersize=4, capsize=2, label=curve.pipeline)
            if score.fits:
                fit = score.fits[0]
                fine = np.unique(np.concatenate([x, np.linspace(0, float(x.max()), 200)]))
                color = drawn.lines[0].get_color()
                axes.plot(fine, fit.predict(fine), "-", linewidth=1, color=color, label=f"{fit.form} form")
            else:
                axes.plot(x, y, "-", linewidth=1, color=drawn.lines[0].get_color())
        axes.set_title(_TITLES.get(name, name), fontsize=10)
        axes.set_xlabel("share of bad fragments")
        axes.grid(alpha=0.3)
        if place == 1:
            axes.legend(fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, metadata={"Software": None})
    return buffer.getvalue()
