"""Seconds per post and stage of the pipeline of RARG, and how full its batches are.

Posts are the demo's 64, over and over with a number behind them, so that no call is answered by an earlier one; there
is no call cache. Prints a table of stages: seconds per post (each call's share of its batch), calls per post, and the
mean share of a full batch.

    python eval/bench/rarg_speed.py            # 500 posts
    python eval/bench/rarg_speed.py --posts 50
"""

import argparse
import json
import time
from collections import defaultdict
from typing import Any

from common import ROOT, Target, table, write_result
from rarg_common import DEMO

from ragkit import Pipeline
from ragkit.engine.calls import QuestionContext
from ragkit.engine.run import Asked, Prediction, RunOptions, run_questions

POSTS = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=POSTS)
    parser.add_argument("--set", action="append", default=[], help="change of the pipeline")
    parser.add_argument("--note", default="", help="what the machine did beside, for the result file")
    given = parser.parse_args()
    lines = (DEMO / "posts.jsonl").read_text(encoding="utf-8").splitlines()
    demo = [json.loads(line)["question"] for line in lines]
    posts = [Asked(str(n), f"{demo[n % len(demo)]} ({n})", {}) for n in range(given.posts)]
    seconds: dict[str, float] = defaultdict(float)
    calls: dict[str, int] = defaultdict(int)

    def note(prediction: Prediction, context: QuestionContext) -> None:
        for call in context.calls:
            seconds[f"{call.stage}: {call.op}"] += call.reply.seconds
            calls[f"{call.stage}: {call.op}"] += 1

    with Pipeline.load(ROOT / "pipelines" / "rarg.yaml", given.set) as pipeline:
        pipeline.prepare()
        begun, busy = time.monotonic(), time.process_time()
        found = run_questions(pipeline.nodes, posts, options=RunOptions(), cache=None, on_prediction=note)
        wall, cpu = time.monotonic() - begun, time.process_time() - busy
    failed = sum(prediction.error is not None for prediction in found)
    statuses: dict[str, int] = defaultdict(int)
    for prediction in found:
        statuses[(prediction.vars.get("response") or {}).get("status", "failed")] += 1
    rows = [("stage and call", "seconds per post", "calls per post")]
    rows += [
        (name, f"{seconds[name] / given.posts:.3f}", f"{calls[name] / given.posts:.1f}")
        for name in sorted(seconds, key=lambda name: -seconds[name])
    ]
    print(table(rows))
    each = wall / given.posts
    print(f"\n{given.posts} posts in {wall:.0f} s ({cpu:.0f} s of CPU): {each:.3f} s per post; {dict(statuses)}")
    numbers: dict[str, Any] = {
        "seconds per post by stage": {name: round(value / given.posts, 4) for name, value in seconds.items()},
        "calls per post by stage": {name: round(value / given.posts, 2) for name, value in calls.items()},
        "wall seconds": round(wall, 1),
        "CPU seconds": round(cpu, 1),
        "statuses": dict(statuses),
        "failed": failed,
    }
    settings = {"posts": given.posts, "changes": given.set, "note": given.note}
    write_result("rarg_speed", settings, numbers, [Target("failed posts", failed, 1, "below")])


if __name__ == "__main__":
    main()
