"""Quality against cost, as a table and a plot, from the tables that `ragkit eval` wrote.

    ragkit eval eval/suites/rebel.yaml --data DIR --out runs/rebel
    ragkit eval p.yaml --sweep rerank.rebel.budget.model_calls=0,1,2,3 --out runs/sweep
    python eval/bench/quality_cost.py rebel runs/rebel/eval.json nq_open=runs/sweep/eval.json

A table with question sets of its own (of a suite) is named alone; one of a single pipeline needs the name of its set,
and its row `as it is` gets the name of the pipeline. Points of a sweep over budgets are joined to a curve.
Writes `eval/results/<name>_curve.json`, `.md` and `.svg`. The plot needs matplotlib (`pip install "ragkit[corpus]"`).
"""

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import RESULTS, ROOT

from ragkit.evaluation.statistics import product
from ragkit.evaluation.variants import FULL

QUALITY = ("precision", "similarity", "P@3", "f1")  # the two judges of rebel_paper.yaml, where they were asked
COSTS = {"model_calls": "model calls per question", "seconds": "seconds of computing per question"}
SHOWN = (*QUALITY, "recall@3", "hit", "model_calls", "tokens", "seconds")
SYSTEM = "precision x similarity"
_NORMAL = 1.96
_BUDGET = re.compile(r",? ?rerank\.rebel\.budget\.\w+=\d+")


def read(argument: str) -> list[dict[str, Any]]:
    """Return the rows of a table with the question set of each."""
    name, equals, path = argument.rpartition("=")
    table = json.loads(Path(path if equals else argument).read_text(encoding="utf-8"))
    rows = [row | {"name": table["title"] if row["name"] == FULL else row["name"]} for row in table["rows"]]
    missing = [row["name"] for row in rows if not (row["group"] or name)]
    if missing:
        raise SystemExit(f"{argument}: the table has no question sets; write SET={argument}")
    return [
        {"set": row["group"] or name} | {key: row[key] for key in ("name", "questions", "failures", "metrics")}
        for row in rows
    ]


def cell(metric: dict[str, Any] | None, quality: bool) -> str:
    """Return a value with its interval."""
    if metric is None or metric["value"] is None:
        return "-"
    digits = ".3f" if quality else ".4g"
    return f"{metric['value']:{digits}} ({metric['low']:{digits}} to {metric['high']:{digits}})"


def system(row: dict[str, Any]) -> dict[str, float] | None:
    """Return the paper's system quality, with the interval of the product; None where the judges were not asked."""
    judged = [row["metrics"].get(name) for name in ("precision", "similarity")]
    if any(metric is None or metric["value"] is None for metric in judged):
        return None
    (precision, its_error), (similarity, error) = (
        (metric["value"], (metric["high"] - metric["low"]) / (2 * _NORMAL)) for metric in judged
    )
    value, deviation = product((precision, its_error), (5 * similarity, 5 * error))  # similarity is from 0 to 5 there
    return {"value": value, "low": value - _NORMAL * deviation, "high": value + _NORMAL * deviation}


def measured(sets: dict[str, list[dict[str, Any]]], names: Sequence[str]) -> list[str]:
    """Return those of the metrics that some run has."""
    return [name for name in names if any(name in row["metrics"] for rows in sets.values() for row in rows)]


def markdown(title: str, sets: dict[str, list[dict[str, Any]]]) -> str:
    """Return a table for each question set."""
    shown = measured(sets, (SYSTEM, *SHOWN))
    parts = [f"# {title}: quality against cost\n", "Values with 95 % bootstrap intervals; costs per question.\n"]
    for name, rows in sets.items():
        parts.append(f"## {name}, {rows[0]['questions']} questions\n")
        parts.append("| run | " + " | ".join(shown) + " | failed |")
        parts.append("|---" * (len(shown) + 2) + "|")
        for row in rows:
            cells = [cell(row["metrics"].get(metric), metric not in (*COSTS, "tokens")) for metric in shown]
            parts.append(f"| {row['name']} | " + " | ".join(cells) + f" | {row['failures']} |")
        parts.append("")
    return "\n".join(parts)


def curves(rows: list[dict[str, Any]], quality: str, cost: str) -> dict[str, list[tuple[float, float, float, float]]]:
    """Return the points by curve: cost, quality, and how far its interval reaches down and up; the cheapest first."""
    found: dict[str, list[tuple[float, float, float, float]]] = {}
    for row in rows:
        x, y = row["metrics"].get(cost), row["metrics"].get(quality)
        if x is None or y is None or x["value"] is None or y["value"] is None:
            continue
        label = _BUDGET.sub("", row["name"]).replace("rerank.rebel.", "")
        point = (x["value"], y["value"], y["value"] - y["low"], y["high"] - y["value"])
        found.setdefault(label, []).append(point)
    return {label: sorted(points) for label, points in found.items()}


def plot(sets: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Draw each quality against each cost, a row of panels for each question set."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "ragkit"
    from matplotlib import pyplot

    panels = [(quality, cost) for quality in measured(sets, QUALITY) for cost in COSTS]
    size = (4.6 * len(panels), 4.2 * len(sets))
    figure, axes = pyplot.subplots(len(sets), len(panels), figsize=size, squeeze=False, layout="constrained")
    for line, (name, rows) in zip(axes, sets.items(), strict=True):
        for axis, (quality, cost) in zip(line, panels, strict=True):
            for label, points in curves(rows, quality, cost).items():
                x, y, low, high = zip(*points, strict=True)
                axis.errorbar(x, y, yerr=[low, high], fmt="o-", capsize=2, alpha=0.8, label=label)
            axis.set(xlabel=COSTS[cost], ylabel=quality, title=name, xscale="symlog")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="what the results are called")
    parser.add_argument("tables", nargs="+", metavar="[SET=]eval.json")
    args = parser.parse_args()
    sets: dict[str, list[dict[str, Any]]] = {}
    for argument in args.tables:
        for row in read(argument):
            if (both := system(row)) is not None:
                row["metrics"][SYSTEM] = both
            sets.setdefault(row.pop("set"), []).append(row)
    path = RESULTS / f"{args.name}_curve.json"
    path.write_text(json.dumps(sets, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(markdown(args.name, sets), encoding="utf-8")
    plot(sets, path.with_suffix(".svg"))
    print(f"{path.relative_to(ROOT)}, .md, .svg")


if __name__ == "__main__":
    main()
