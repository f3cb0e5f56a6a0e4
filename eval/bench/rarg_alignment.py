"""What best-of-n by the reward of RARG, and training by it, do to a small writer's responses.

The claims and their evidence are those of corpora/rarg (61 claims, none trained on). A model writes `--samples` drafts
of each; `single` is the first, `best` the one that the reward chooses. Both are judged by what had no part in the
choice: the same reward over judges of another seed that learned from other claims (rarg_heads.py, seed 1), and measures
of words alone (rarg_common.lexical). Evidence precision is the share of factual sentences that a passage entails, by
those judges, and the share that has most of its words in one passage.

    python eval/bench/rarg_alignment.py --data DIR --name base
    python eval/bench/rarg_alignment.py --data DIR --name dpo --adapter FOLDER --prompt answer.refute.tuned

A run adds its name to eval/results/bench_rarg_alignment.json and writes twenty examples, the first by id, beside it.
"""

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from common import RESULTS, Target, table, target_table, versions
from rarg_common import WRITER, answered, demo, lexical, rarg_reward
from rarg_heads import judges

from ragkit.evaluation.diversity import commonest_opening, distinct
from ragkit.evaluation.statistics import bootstrap_interval
from ragkit.models import TransformersModel
from ragkit.models.base import EntailmentModel
from ragkit.models.rewards import Rollout
from ragkit.prompts import render
from ragkit.stages.refuting.drafts import best_of, columns_of_claim, draw
from ragkit.stages.refuting.response import copied_share, read_response, restates
from ragkit.tuning.rewards.audit import audit_rewards
from ragkit.tuning.rewards.grounding import best_support
from ragkit.tuning.rewards.relevance import distinct_trigrams
from ragkit.tuning.rows import PromptRow

EXAMPLES = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the question sets")
    parser.add_argument("--name", required=True, help="what the results are called")
    parser.add_argument("--adapter", help="of the writer")
    parser.add_argument("--prompt", default="answer.refute")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--temperature", type=float, default=0.9)
    parser.add_argument("--tokens", type=int, default=80)
    parser.add_argument("--limit", type=int, help="only the first so many claims")
    parser.add_argument("--stance", help="adapter of the pair classifier that rewards")
    parser.add_argument("--tone", help="adapter of the politeness classifier that rewards")
    given = parser.parse_args()
    items = demo()[: given.limit]
    columns = [columns_of_claim(item["claim"], item["passages"]) for item in items]
    prompts = [render(given.prompt, claim=item["claim"], passages=item["passages"]) for item in items]
    writer = TransformersModel(model=WRITER, adapter=given.adapter, max_batch_size=32)
    drafts = answered(
        [partial(draw, writer, prompt, given.samples, given.tokens, given.temperature, 0) for prompt in prompts],
        "drafts",
    )
    writer.close()
    reward = rarg_reward(*judges(given.data, 0, given.stance, given.tone))
    other = rarg_reward(*judges(given.data, 1))
    earned = scored(reward, prompts, drafts, columns)
    chosen = [best_of(row) for row in earned]
    texts = {
        "single": [row[0] for row in drafts],
        "best": [row[index] for row, index in zip(drafts, chosen, strict=True)],
    }
    measured = {
        kind: measures(kind_texts, items, columns, other.composed, other.nli) for kind, kind_texts in texts.items()
    }
    numbers: dict[str, Any] = {
        "reward itself": {
            "single": figure([row[0] for row in earned]),
            "best": figure([row[index] for row, index in zip(earned, chosen, strict=True)]),
        },
        **measured,
        "differences": {
            name: figure(
                [
                    b - a
                    for a, b in zip(
                        measured_values(measured["single"], name), measured_values(measured["best"], name), strict=True
                    )
                ]
            )
            for name in measured["single"]["values"]
        },
    }
    for kind in texts:
        numbers[kind] = {key: value for key, value in numbers[kind].items() if key != "values"}
    rows = [PromptRow(prompt=prompt, columns=own) for prompt, own in zip(prompts, columns, strict=True)]
    audited = audit_rewards([other.composed], rows, texts["single"], words=given.tokens)
    numbers["audit of the reward"] = audited.as_dict()
    show(numbers, audited.hacks)
    differences = numbers["differences"]
    targets = [
        Target("best of n: mean composite by other judges, rise", differences["composite"]["mean"], 0.10),
        Target("evidence precision (other judges), change", differences["evidence precision"]["mean"], 0.0),
        Target("evidence precision (words), change", differences["evidence in words"]["mean"], 0.0),
        Target(
            "distinct-2, best / single", numbers["best"]["distinct-2"] / max(1e-9, numbers["single"]["distinct-2"]), 0.9
        ),
    ]
    print()
    print(target_table(targets))
    settings = {key: value for key, value in vars(given).items() if key not in ("data", "adapter", "stance", "tone")}
    settings |= {
        "claims": len(items),
        "stance": bool(given.stance),
        "tone": bool(given.tone),
        "tuned": bool(given.adapter),
    }
    keep(given.name, settings, numbers, targets)
    examples(given.name, items, texts, earned, chosen)


def scored(
    reward: Any, prompts: Sequence[Any], drafts: Sequence[Sequence[str]], columns: Sequence[Any]
) -> list[list[float]]:
    """Return what each draft of each claim earns."""
    tasks = [
        partial(reward.score, Rollout(prompt, draft, own))
        for prompt, row, own in zip(prompts, drafts, columns, strict=True)
        for draft in row
    ]
    values = iter(answered(tasks, "rewards"))
    return [[next(values) for _ in row] for row in drafts]


def measures(
    texts: Sequence[str],
    items: Sequence[Any],
    columns: Sequence[Mapping[str, Any]],
    composed: Any,
    nli: EntailmentModel,
) -> dict[str, Any]:
    """Return what judges without a part in the choice, and words alone, say of responses."""
    found = answered(
        [partial(composed.explain, Rollout("", t, c)) for t, c in zip(texts, columns, strict=True)], "judged"
    )
    precise = answered(
        [partial(precision, nli, t, c["passages"]) for t, c in zip(texts, columns, strict=True)], "evidence"
    )
    spoken = [lexical(text, own["question"], own["passages"]) for text, own in zip(texts, columns, strict=True)]
    values: dict[str, list[float]] = {
        "composite": [row.value for row in found],
        **{name: [row.parts[name] for row in found] for name in found[0].parts},
        "evidence precision": precise,
        "evidence in words": [row["evidence"] for row in spoken],
        "refuting words": [row["refuting"] for row in spoken],
        "no rude word": [row["polite"] for row in spoken],
        "cites, and what there is": [row["valid"] for row in spoken],
        "copied 4-grams": [copied_share(t, c["passages"]) for t, c in zip(texts, columns, strict=True)],
        "repeated trigrams": [1 - distinct_trigrams(text) for text in texts],
        "tells the myth again": [
            float(restates(read_response(text), item["claim"])) for text, item in zip(texts, items, strict=True)
        ],
        "words": [float(len(text.split())) for text in texts],
    }
    opening, share = commonest_opening(texts)
    return {
        "figures": {name: figure(column) for name, column in values.items()},
        "distinct-1": round(distinct(texts, 1), 4),
        "distinct-2": round(distinct(texts, 2), 4),
        "commonest opening": [opening, round(share, 4)],
        "values": values,
    }


async def precision(nli: EntailmentModel, text: str, passages: Sequence[str]) -> float:
    """Return the share of factual sentences that a passage entails; 0 for a response without any."""
    factual = [sentence for sentence in read_response(text) if sentence.is_factual and sentence.text]
    held = [await best_support(nli, sentence.text, passages) >= 0.5 for sentence in factual]
    return sum(held) / len(held) if held else 0.0


def measured_values(measured: Mapping[str, Any], name: str) -> list[float]:
    values: list[float] = measured["values"][name]
    return values


def figure(values: Sequence[float]) -> dict[str, Any]:
    """Return the mean with its 95 % bootstrap interval."""
    return {"mean": round(statistics.mean(values), 4), "interval": bootstrap_interval(values), "n": len(values)}


def show(numbers: Mapping[str, Any], hacks: Sequence[str]) -> None:
    names = list(numbers["single"]["figures"])
    rows = [("measure", "single", "best of n", "difference")]
    for name in names:
        one, two = (numbers[kind]["figures"][name]["mean"] for kind in ("single", "best"))
        rows.append((name, f"{one:.3f}", f"{two:.3f}", f"{numbers['differences'][name]['mean']:+.3f}"))
    rows += [
        (name, f"{numbers['single'][name]:.3f}", f"{numbers['best'][name]:.3f}", "")
        for name in ("distinct-1", "distinct-2")
    ]
    print(table(rows))
    print(f"commonest openings: {numbers['single']['commonest opening']} {numbers['best']['commonest opening']}")
    print(f"policies without work that earn no less than a single draft: {', '.join(hacks) or 'none'}")


def keep(name: str, settings: Mapping[str, Any], numbers: Mapping[str, Any], targets: Sequence[Target]) -> None:
    """Add a run to the result file."""
    path = RESULTS / "bench_rarg_alignment.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"bench": "rarg_alignment", "runs": {}}
    known["packages"] = versions()
    known["runs"][name] = {
        "settings": dict(settings),
        "numbers": dict(numbers),
        "targets": [{"name": t.name, "value": t.value, "bound": t.bound, "verdict": t.verdict} for t in targets],
    }
    path.write_text(json.dumps(known, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def examples(
    name: str,
    items: Sequence[Any],
    texts: Mapping[str, Sequence[str]],
    earned: Sequence[Sequence[float]],
    chosen: Sequence[int],
) -> None:
    """Write the first responses by id, unpicked."""
    order = sorted(range(len(items)), key=lambda number: items[number]["id"])[:EXAMPLES]
    lines = [f"# Responses of the run `{name}`: the first {len(order)} claims by id, as they came", ""]
    for number in order:
        draws, best = earned[number], chosen[number]
        lines += [
            f"**{items[number]['claim']}**",
            "",
            f"- single ({draws[0]:.2f}): {' '.join(texts['single'][number].split())}",
            f"- best of {len(draws)} ({draws[best]:.2f}): {' '.join(texts['best'][number].split())}",
            "",
        ]
    path = RESULTS / f"rarg_examples_{name}.md"
    path.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
