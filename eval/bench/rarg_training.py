"""Train the writer of RARG for a quarter of an hour: first on responses to imitate, then by DPO on its own drafts.

The recipes are pipelines/tuning/rarg_sft.yaml and rarg_dpo.yaml, with fewer steps and without the gate; the reward that
pairs best and worst drafts asks the judges of rarg_heads.py, seed 0, unless trained classifiers are named.

    python eval/bench/rarg_training.py --data DIR --out FOLDER --step sft
    python eval/bench/rarg_training.py --data DIR --out FOLDER --step dpo
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import ROOT
from rarg_common import rarg_reward
from rarg_heads import judges

from ragkit.tuning.data import BuildContext, DataBuilder
from ragkit.tuning.job import TrainingJob
from ragkit.tuning.recipe import Recipe, load_recipe
from ragkit.tuning.rows import write_rows
from ragkit.tuning.sets import openers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the question sets")
    parser.add_argument("--out", type=Path, required=True, help="folder of the adapters")
    parser.add_argument("--step", choices=("sft", "dpo"), required=True)
    parser.add_argument("--steps", type=int, help="optimiser steps")
    parser.add_argument("--claims", type=int, help="only the first so many questions of the set")
    parser.add_argument("--stance", help="adapter of the pair classifier that rewards")
    parser.add_argument("--tone", help="adapter of the politeness classifier that rewards")
    given = parser.parse_args()
    changes = [f"training.steps={given.steps}"] if given.steps else []
    changes += [f"sets.covidfact.limit={given.claims}"] if given.claims else []
    changes += ["retrieve.two_stage.k_coarse=20", "answer.refute.max_new_tokens=80"]
    if given.step == "dpo":
        changes.append(f"adapter.start={json.dumps(str(given.out / 'sft' / 'adapter'))}")
    recipe = load_recipe(ROOT / "pipelines" / "tuning" / f"rarg_{given.step}.yaml", changes)
    builder = recipe.builder
    if given.step == "dpo":
        reward = rarg_reward(*judges(given.data, 0, given.stance, given.tone))
        builder = builder.model_copy(update={"reward": reward})
    train(recipe, builder, given.data, given.out / given.step)


def train(recipe: Recipe, builder: DataBuilder, data: Path, folder: Path) -> None:
    """Make the rows of a recipe and train on them, without its gate."""

    def quiet(*_: Any) -> None:
        return None

    begun = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    sets = openers(recipe, data, quiet)
    rows: Sequence[Any] = builder.build(
        "train", BuildContext(sets, recipe.settings.model, recipe.training.seed, folder, quiet)
    )
    write_rows(folder / "rows.jsonl", rows)
    print(f"{len(rows)} rows in {time.monotonic() - begun:.0f} s", flush=True)
    job = TrainingJob(
        folder=folder,
        model=recipe.model,
        rows=rows,
        validation=(),
        adapter=recipe.adapter,
        training=recipe.training,
        resume=False,
        on_step=lambda step: print(step.step, {k: round(v, 4) for k, v in step.metrics.items()}, flush=True),
        on_progress=quiet,
        sets=sets,
        name=recipe.settings.model,
    )
    done = recipe.objective.train(job)
    print(json.dumps({"steps": done.steps, **done.figures}, indent=1, default=str))
    print(f"{time.monotonic() - begun:.0f} s in all")


if __name__ == "__main__":
    main()
