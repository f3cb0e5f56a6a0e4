"""Does the reward of RARG tell good responses from bad ones? 61 claims with five responses each (corpora/rarg).

A good response refutes the claim from evidence that it cites, politely. The four others each lack one thing: they do
not refute, are rude, give no evidence, or tell the myth as if it were so. All 305 are written by hand for this purpose.
Reported: how often the good one ranks first, how often it beats each other kind, and the same with each term left out
(the others keep their proportions), without the gate, and without the penalties.

Judges of stance and tone are classifiers that `ragkit tune` trained (`--stance`, `--tone`), or the frozen heads of
rarg_heads.py, which learn from `--data`.

    python eval/bench/rarg_rewards.py --data DIR
    python eval/bench/rarg_rewards.py --data DIR --stance ADAPTER --tone ADAPTER
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common import Target, table, write_result
from rarg_common import demo, rarg_reward
from rarg_heads import judges

from ragkit.evaluation.statistics import bootstrap_interval
from ragkit.tuning.rewards.compose import Breakdown

KINDS = ("good", "polite_non_refutation", "rude_refutation", "without_evidence", "myth_restated")
TERMS = ("refutes", "labelled", "evidence_use", "claim_relevance", "fluency")
CONTRAST = {"refutes": "polite_non_refutation", "labelled": "rude_refutation", "evidence_use": "without_evidence"}
"""The kind that differs from a good response in what a term measures; relevance and fluency have none among these."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the question sets")
    parser.add_argument("--stance", help="adapter of a pair classifier (provider classifier)")
    parser.add_argument("--tone", help="adapter of a politeness classifier")
    given = parser.parse_args()
    items = demo()
    reward = rarg_reward(*judges(given.data, 0, given.stance, given.tone))
    texts = [item[kind] for item in items for kind in KINDS]
    columns = {
        "question": [item["claim"] for item in items for _ in KINDS],
        "passages": [[p.page_content for p in item["passages"]] for item in items for _ in KINDS],
    }
    found = reward.composed.explain_all([""] * len(texts), texts, columns)
    rows = [found[start : start + len(KINDS)] for start in range(0, len(found), len(KINDS))]
    weights = {name: part.weight for name, part in zip(TERMS, reward.composed.of, strict=True)}
    variants = {"as it is": [[b.value for b in row] for row in rows]}
    variants["without the gate"] = [[ungated(b) for b in row] for row in rows]
    variants["without penalties"] = [[b.value + penalty(b, reward.composed.penalties) for b in row] for row in rows]
    for term in TERMS:
        variants[f"without {term}"] = [[left_out(b, term, weights, reward) for b in row] for row in rows]
    numbers: dict[str, Any] = {"raw means": raw_means(rows)}
    printed = [("variant", "good first", "pairwise", *(f"> {kind}" for kind in KINDS[1:]))]
    for name, values in variants.items():
        first, pairs = ranked(values)
        numbers[name] = {"good first": summary(first), "pairwise": summary([v for row in pairs for v in row])} | {
            kind: summary([row[n] for row in pairs]) for n, kind in enumerate(KINDS[1:])
        }
        printed.append((name, *(f"{numbers[name][key]['mean']:.3f}" for key in ("good first", "pairwise", *KINDS[1:]))))
    print(table(printed))
    contrasts = {term: contrast(rows, term, kind, weights, reward) for term, kind in CONTRAST.items()}
    numbers["contrasts"] = contrasts
    whole = numbers["as it is"]
    write_result(
        "rarg_rewards",
        {
            "claims": len(items),
            "kinds": KINDS,
            "weights": weights,
            "stance": trained(given.stance),
            "tone": trained(given.tone),
        },
        numbers,
        [
            Target("the good response ranks first", whole["good first"]["mean"], 0.9),
            Target("pairwise ordering accuracy", whole["pairwise"]["mean"], 0.85),
            *(
                Target(f"without {term}: fall of the margin over {CONTRAST[term]}", value["fall"]["mean"], 0.0)
                for term, value in contrasts.items()
            ),
        ],
    )


def ungated(found: Breakdown) -> float:
    """Return the weighted sum alone."""
    return sum(found.weighted.values())


def penalty(found: Breakdown, faults: Sequence[Any]) -> float:
    """Return what the faults of a response cost."""
    return sum(fault.weight * value for fault, value in zip(faults, found.penalties.values(), strict=True))


def left_out(found: Breakdown, term: str, weights: Mapping[str, float], reward: Any) -> float:
    """Return the reward without a term, the others in their proportions; without `refutes` there is no gate either."""
    rest = sum(value for name, value in found.weighted.items() if name != term) / (1 - weights[term])
    open_ = found.open or term == "refutes"
    return (rest if open_ else 0.0) - penalty(found, reward.composed.penalties)


def contrast(
    rows: Sequence[Sequence[Breakdown]], term: str, kind: str, weights: Mapping[str, float], reward: Any
) -> dict[str, Any]:
    """Return by how much the good response leads a kind with a term and without it, and the difference of the two."""
    other = KINDS.index(kind)
    whole = [row[0].value - row[other].value for row in rows]
    without = [left_out(row[0], term, weights, reward) - left_out(row[other], term, weights, reward) for row in rows]
    falls = [one - two for one, two in zip(whole, without, strict=True)]
    return {"kind": kind, "margin": summary(whole), "margin without": summary(without), "fall": summary(falls)}


def ranked(values: Sequence[Sequence[float]]) -> tuple[list[float], list[list[float]]]:
    """Return for each claim whether the good response is alone at the top, and whether it beats each other one."""
    pairs = [[1.0 if row[0] > other else 0.5 if row[0] == other else 0.0 for other in row[1:]] for row in values]
    return [float(all(value == 1.0 for value in row)) for row in pairs], pairs


def raw_means(rows: Sequence[Sequence[Breakdown]]) -> dict[str, dict[str, float]]:
    """Return the mean of each term and fault, unweighted, for each kind of response."""
    return {
        kind: {
            name: round(statistics.mean({**row[n].parts, **row[n].penalties}[name] for row in rows), 4)
            for name in {**rows[0][n].parts, **rows[0][n].penalties}
        }
        for n, kind in enumerate(KINDS)
    }


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Return the mean with its 95 % bootstrap interval."""
    return {"mean": round(statistics.mean(values), 4), "interval": bootstrap_interval(values), "n": len(values)}


def trained(adapter: str | None) -> str:
    """Return which kind of judge was used."""
    return "trained by ragkit tune" if adapter else "frozen head"


if __name__ == "__main__":
    main()
