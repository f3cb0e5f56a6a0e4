"""The call cache: how long the replay of a finished run takes, and lookups per second.

The replay is a whole `Pipeline.run` by a fresh pipeline into a new folder: checking and opening the index, every call
looked up, predictions, trace, scores with intervals, report. Importing Python packages is not part of it.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from common import ROOT, Target, table, write_result
from texts import passages

from ragkit.engine.cache import CallCache
from ragkit.engine.calls import Reply
from ragkit.evaluation.questions import Question
from ragkit.pipeline import Pipeline

PIPELINE = """
name: replay
models:
  reader: {provider: scripted, default: "twelve percent [1]"}
  encoder: {provider: hash}
index:
  documents: ["corpora/fieldguide/*.pdf"]
  dense: {encoder: encoder}
  sparse: {}
pipeline:
  - retrieve.hybrid: {k: 5}
  - context.pack: {model: reader, tokens: 1000}
  - answer.read: {model: reader}
run:
  metrics: [em, f1, hit, recall@5]
"""


def questions(count: int) -> list[Question]:
    """Return questions made of words of the corpus, all different."""
    texts = passages(48, min(count, 1000))
    return [
        Question(
            id=f"q{n}",
            question=f"What is said about {' '.join(texts[n % len(texts)].split()[:8])} ({n})?",
            answers=["twelve percent"],
            supporting_ids=["grain-storage.pdf#p1"],
        )
        for n in range(count)
    ]


def replay(asked: list[Question], rounds: int, folder: Path) -> tuple[float, list[float], int]:
    """Return the first run's seconds, the replays' seconds, and calls per run."""
    seconds = []
    for number in range(rounds + 1):
        with Pipeline.from_yaml(PIPELINE) as pipeline:
            start = time.perf_counter()
            experiment = pipeline.run(asked, out=folder / f"run{number}")
            seconds.append(time.perf_counter() - start)
        calls, cached = experiment.calls
        assert not experiment.failures
        assert number == 0 or calls == cached, f"the replay asked anew: {cached} of {calls} calls from the cache"
    return seconds[0], seconds[1:], calls


def operations(path: Path, count: int) -> tuple[float, float]:
    """Return answers stored and looked up per second, 1,000 at a time."""
    keys = [number.to_bytes(16, "big") for number in range(count)]
    reply = Reply({"text": "about twelve percent", "finish": "stop", "logprob": -0.1}, 900, 8, 0.05)
    parts = [keys[start : start + 1000] for start in range(0, count, 1000)]
    cache = CallCache(path)
    start = time.perf_counter()
    for part in parts:
        cache.store(dict.fromkeys(part, reply))
    stored = time.perf_counter()
    found = sum(len(cache.lookup(part)) for part in parts)
    looked_up = time.perf_counter()
    cache.close()
    assert found == count
    return count / (stored - start), count / (looked_up - stored)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    os.chdir(ROOT)
    asked = questions(args.questions)
    with tempfile.TemporaryDirectory() as home:
        os.environ["RAGKIT_HOME"] = home
        first, replays, calls = replay(asked, args.rounds, Path(home))
        rates = [operations(Path(home) / f"lookups{n}.sqlite", 20_000) for n in range(args.rounds)]
    stores, lookups = (statistics.median(column) for column in zip(*rates, strict=True))
    rows = [
        ("first run, index built", f"{first:.2f} s"),
        (f"replay of {args.questions} questions, {calls} calls", f"{statistics.median(replays):.2f} s"),
        ("lookups", f"{lookups:,.0f} per s"),
        ("stores", f"{stores:,.0f} per s"),
    ]
    print(table([("cache", "measured"), *rows]))
    write_result(
        "cache",
        vars(args),
        {
            "first_seconds": first,
            "replay_seconds": replays,
            "calls": calls,
            "lookups_per_second": lookups,
            "stores_per_second": stores,
        },
        [Target("seconds of a replay", statistics.median(replays), 2, "below")],
        full=vars(args) == vars(parser.parse_args([])),
    )


if __name__ == "__main__":
    main()
