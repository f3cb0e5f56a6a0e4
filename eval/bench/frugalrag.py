"""What the runs of `eval/suites/frugalrag.yaml` say about searching less: the bars of the paper's claims.

Read from the folder of the runs; nothing is asked again. Compared per question:
  - a frugal agent with the fixed-budget loop: its share of the recall, its share of the searches
  - each agent with one search that brings as many passages as the agent read for that question
  - mean searches by the number of gold passages
Intervals are 95 % bootstrap intervals over questions.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import RESULTS, Target, table, target_table
from numpy.typing import NDArray

from ragkit.evaluation.statistics import bootstrap_interval, bootstrap_statistic, mean, paired_test

FIXED, ONCE, FRUGAL = "react_fixed_budget", "single_shot", "frugalrag"
LEAST_RECALL, MOST_SEARCHES, LEAST_GAIN, LEAST_CORRELATION = 0.95, 0.55, 0.12, 0.8


@dataclass(frozen=True, slots=True)
class Way:
    """What a pipeline did for one question: its passages, in the order in which they were found, and its searches."""

    passages: tuple[str, ...]
    searches: int
    gold: frozenset[str]

    def recall(self, read: int | None = None) -> float:
        """Return the share of the gold passages among the first so many."""
        return len(self.gold & set(self.passages[:read])) / len(self.gold)


Ways = dict[str, dict[str, Way]]
"""By pipeline, by question."""


def ways_of(folder: Path) -> Ways:
    """Return the ways of a set from its folder of runs."""
    found: Ways = {}
    for run in sorted(path.parent for path in folder.glob("*/predictions.jsonl")):
        asked = [json.loads(line) for line in (run / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
        gold = {row["id"]: frozenset(row["supporting_ids"]) for row in asked if row.get("supporting_ids")}
        lines = (run / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
        found[run.name] = {
            row["id"]: Way(tuple(own["id"] for own in row["documents"]), row["usage"]["searches"], gold[row["id"]])
            for row in map(json.loads, lines)
            if row["id"] in gold
        }
    return found


def share(above: Sequence[float], below: Sequence[float]) -> dict[str, float | None]:
    """Return the quotient of two means, with its interval."""
    both = np.array([above, below], dtype=np.float64).T

    def of(rows: NDArray[np.float64]) -> float | None:
        return float(rows[:, 0].sum() / rows[:, 1].sum()) if rows[:, 1].sum() else None

    low, high = bootstrap_statistic(both, of) or (None, None)
    return {"value": of(both), "low": low, "high": high}


def against_fixed(frugal: Sequence[Way], fixed: Sequence[Way]) -> dict[str, Any]:
    """Return what share of the fixed budget's recall and searches an agent has, and how efficiency compares."""
    return {
        "recall": share([way.recall() for way in frugal], [way.recall() for way in fixed]),
        "searches": share([way.searches for way in frugal], [way.searches for way in fixed]),
    }


def against_once(agent: Sequence[Way], once: Sequence[Way]) -> dict[str, Any]:
    """Return the difference in recall to one search for as many passages as the agent read, question by question."""
    own = [way.recall() for way in agent]
    same = [other.recall(len(way.passages)) for way, other in zip(agent, once, strict=True)]
    return {"agent": mean(own), "once": mean(same), **asdict(paired_test(own, same))}


def by_hops(ways: Sequence[Way]) -> dict[str, Any]:
    """Return mean searches by number of gold passages, and their correlation over questions and over groups."""
    groups: dict[int, list[float]] = {}
    for way in ways:
        groups.setdefault(len(way.gold), []).append(way.searches)
    means = {hops: mean(groups[hops]) for hops in sorted(groups)}
    found: dict[str, Any] = {
        str(hops): {"n": len(groups[hops]), "searches": means[hops], "interval": bootstrap_interval(groups[hops])}
        for hops in means
    }
    values = [float(value) for value in means.values() if value is not None]
    spread = len(values) > 1 and len(set(values)) > 1
    found["r_of_groups"] = float(np.corrcoef(list(means), values)[0, 1]) if spread else None
    pairs = np.array([(len(way.gold), way.searches) for way in ways], dtype=np.float64)

    def correlation(rows: NDArray[np.float64]) -> float | None:
        return float(np.corrcoef(rows.T)[0, 1]) if (rows.std(0) > 0).all() else None

    found["r_of_questions"] = {"value": correlation(pairs), "interval": bootstrap_statistic(pairs, correlation)}
    return found


def measure(ways: Ways, fixed: str) -> dict[str, Any]:
    """Return all comparisons over the questions that every pipeline answered; `fixed` has the fixed budget."""
    ids = sorted(set.intersection(*(set(own) for own in ways.values())))
    lists = {name: [own[one] for one in ids] for name, own in ways.items()}
    found: dict[str, Any] = {"questions": len(ids)}
    for name, own in lists.items():
        recalls = [way.recall() for way in own]
        found[name] = {
            "recall": {"value": mean(recalls), "interval": bootstrap_interval(recalls)},
            "searches": mean([way.searches for way in own]),
            "passages": mean([len(way.passages) for way in own]),
            "fixed_budget": against_fixed(own, lists[fixed]),
            "one_search": against_once(own, lists[ONCE]),
            "by_hops": by_hops(own),
        }
    return found


def targets(found: dict[str, Any], frugal: str) -> list[Target]:
    """Return the bars for an agent: each set and all of them."""
    made = []
    for name, own in found.items():
        made += [
            Target(f"{name}: share of the fixed budget's recall", own[frugal]["fixed_budget"]["recall"]["value"],
                   LEAST_RECALL),
            Target(f"{name}: share of its searches", own[frugal]["fixed_budget"]["searches"]["value"],
                   MOST_SEARCHES + 1e-9, "below"),
            Target(f"{name}: recall above one search for as many passages", own[frugal]["one_search"]["difference"],
                   LEAST_GAIN if name == "2wikimultihopqa" else 0.0),
        ]  # fmt: skip
    made.append(
        Target("searches and gold passages, r over groups", found["all"][frugal]["by_hops"]["r_of_groups"],
               LEAST_CORRELATION)
    )  # fmt: skip
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, help="the folder of the suite's runs")
    parser.add_argument("--agent", default=FRUGAL, help="the pipeline that the bars are about")
    parser.add_argument("--fixed", default=FIXED, help="the pipeline with the fixed budget")
    args = parser.parse_args()
    sets = {path.name: ways_of(path) for path in sorted(args.runs.iterdir()) if any(path.glob("*/predictions.jsonl"))}
    names = set.intersection(*(set(ways) for ways in sets.values()))
    together = {name: {f"{own} {one}": way for own in sets for one, way in sets[own][name].items()} for name in names}
    found = {name: measure(ways, args.fixed) for name, ways in [*sets.items(), ("all", together)]}
    rows = [("set, pipeline", "recall", "of fixed", "searches", "of fixed", "above one search", "95 %")]
    for name, own in found.items():
        for pipeline in sorted(names):
            one = own[pipeline]
            rows.append(
                (f"{name}, {pipeline}", f"{one['recall']['value']:.3f}",
                 f"{one['fixed_budget']['recall']['value']:.3f}", f"{one['searches']:.2f}",
                 f"{one['fixed_budget']['searches']['value']:.3f}", f"{one['one_search']['difference']:+.3f}",
                 f"{one['one_search']['low']:+.3f} to {one['one_search']['high']:+.3f}")
            )  # fmt: skip
    print(table(rows))
    bars = targets(found, args.agent)
    print(target_table(bars))
    row = {
        "command": f"python eval/bench/frugalrag.py RUNS --agent {args.agent} --fixed {args.fixed}",
        "numbers": found,
        "targets": [asdict(bar) | {"verdict": bar.verdict} for bar in bars],
    }
    path = RESULTS / "bench_frugalrag.json"
    path.write_text(json.dumps(row, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(path.name)


if __name__ == "__main__":
    main()
