"""A memory of a million passages: opening it, storing into it, and deciding whether a query is answered from it.

The vectors are made up as those of titles are: a direction that all share a little (cosine .09 between any two), and
topics of 50 titles each whose cosines are about .64. Queries are further members of topics, so each has some 50 matches
at the threshold of .6 and as many just below it. A decision is one run of the stage `memory.trigger`, one query at a
time, from the query's vector (the encoder's time is not in it) to the list of matches; each is compared with the
cosines of the query with all vectors. It is taken at three sizes of the same memory.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import Target, table, write_result
from numpy.typing import NDArray
from pydantic import PrivateAttr

from ragkit.engine.calls import LocalResource, Reply, Request
from ragkit.engine.state import Passage
from ragkit.memory import Item, Reservoir
from ragkit.memory.items import Stored
from ragkit.models.base import Encoder
from ragkit.stages import MemoryTrigger

DIMENSION = 384
TOPIC = 50
TAU = 0.6
ADDED = 1_000
_BLOCK = 20_000
_TEXT = "Of this page a memory keeps as much as a search returned: two or three sentences, which the filter let pass. "

Vectors = NDArray[np.float32]


class Prepared(Encoder, LocalResource):
    """An encoder that knows the vectors of its queries."""

    _known: dict[str, Vectors] = PrivateAttr(default_factory=dict)

    def fingerprint(self) -> str:
        return "prepared"

    def describe(self) -> dict[str, Any]:
        return {"provider": "prepared"}

    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        return [Reply(self._known[request.args["text"]]) for request in batch]


def unit(vectors: Vectors) -> Vectors:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def draw(topics: NDArray[np.int64], seed: int) -> Vectors:
    """Return a vector for each topic number."""
    shared = unit(np.random.default_rng(0).standard_normal((1, DIMENSION), dtype=np.float32))
    distinct, where = np.unique(topics, return_inverse=True)
    centres = np.stack([np.random.default_rng(1 + n).standard_normal(DIMENSION, dtype=np.float32) for n in distinct])
    noise = np.random.default_rng(seed).standard_normal((len(topics), DIMENSION), dtype=np.float32)
    return unit(0.3 * shared + 0.75 * unit(centres)[where] + 0.6 * unit(noise))


def block(start: int, stop: int) -> Stored:
    items = (Passage(id=f"p{n}", page_content=_TEXT * 3, metadata={"title": f"title {n}"}) for n in range(start, stop))
    vectors = draw(np.arange(start, stop) // TOPIC, seed=10_000_019 + start)
    return Stored(tuple(Item.of(passage, ("title",)) for passage in items), vectors)


def fill(reservoir: Reservoir, start: int, stop: int) -> None:
    for first in range(start, stop, _BLOCK):
        reservoir.store.apply([block(first, min(first + _BLOCK, stop))])


def exhaustive(vectors: Vectors, queries: Vectors) -> list[set[str]]:
    """Return for each query the ids of all vectors at or above the threshold, in double precision."""
    found: list[set[str]] = [set() for _ in queries]
    for start in range(0, len(vectors), _BLOCK):
        part = vectors[start : start + _BLOCK]
        for number, near in zip(*np.nonzero(queries @ part.T > TAU - 1e-4), strict=True):
            if part[near].astype(np.float64) @ queries[number].astype(np.float64) >= TAU - 1e-6:
                found[number].add(f"p{start + near}")
    return found


async def decide(reservoir: Reservoir, names: Sequence[str], queries: Vectors, vectors: Vectors) -> dict[str, Any]:
    """Return the seconds of each decision, how many equal the exhaustive ones, and the mean number of matches."""
    trigger = MemoryTrigger(memory=reservoir, tau=TAU)
    seconds, processor, wrote = [], [], []
    for name in names:
        begun, used = time.perf_counter(), time.process_time()
        wrote.append(await trigger.run((name,)))
        seconds.append(time.perf_counter() - begun)
        processor.append(time.process_time() - used)
    equal, sizes = 0, []
    for expected, decision in zip(exhaustive(vectors, queries), wrote, strict=True):
        found = {key for key, _ in decision["vars.remembered"]["matches"]}
        equal += found == expected and decision["vars.external"] == (len(expected) < trigger.theta)
        sizes.append(len(found))
    return {"seconds": seconds, "processor": processor, "equal": equal, "matches": statistics.mean(sizes)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5, help="of opening and storing")
    args = parser.parse_args()
    encoder = Prepared()
    sizes = [args.items // 100, args.items // 10, args.items]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        reservoir = Reservoir(encoder=encoder, path=Path(folder))
        for before, size in zip([0, *sizes], sizes, strict=False):
            fill(reservoir, before, size)
            vectors = np.memmap(Path(folder) / "vectors.0", np.float32, "r", shape=(size, DIMENSION))
            topics = np.random.default_rng(size).integers(0, size // TOPIC, args.queries)
            queries = draw(topics, seed=size)
            names = [f"query {number} of {size}" for number in range(args.queries)]
            encoder._known.update(zip(names, queries, strict=True))
            rows.append({"items": size} | asyncio.run(decide(reservoir, names, queries, vectors)))
        opened, stored = [], []
        for number in range(args.rounds):
            reservoir.close()
            begun = time.perf_counter()
            reservoir.prepare(lambda *step: None)
            opened.append(time.perf_counter() - begun)
            more = block(args.items + number * ADDED, args.items + (number + 1) * ADDED)
            begun = time.perf_counter()
            reservoir.store.apply([more])
            stored.append(time.perf_counter() - begun)
        size_on_disk = sum(path.stat().st_size for path in Path(folder).iterdir())
        reservoir.close()
    head = ("items", "ms, median", "worst", "of a core", "matches", "equal to exhaustive")
    lines = [
        (
            f"{row['items']:,}",
            f"{statistics.median(row['seconds']) * 1e3:.2f}",
            f"{max(row['seconds']) * 1e3:.2f}",
            f"{statistics.median(row['processor']) * 1e3:.2f}",
            f"{row['matches']:.1f}",
            f"{row['equal']} of {args.queries}",
        )
        for row in rows
    ]
    print(table([head, *lines]))
    print(f"\nopening: {statistics.median(opened):.3f} s; storing {ADDED:,}: {statistics.median(stored):.3f} s")
    last = rows[-1]
    share = sum(row["equal"] for row in rows) / (args.queries * len(rows))
    write_result(
        "memory",
        vars(args) | {"dimension": DIMENSION, "tau": TAU, "added": ADDED, "topic": TOPIC},
        {"decisions": rows, "opened": opened, "stored": stored, "bytes": size_on_disk},
        [
            Target("ms of a decision, median", statistics.median(last["seconds"]) * 1e3, 5.0, "below"),
            Target("decisions equal to exhaustive ones", share, 1.0),
            Target(f"seconds to store {ADDED:,} items", statistics.median(stored), 2.0, "below"),
            Target("seconds to open", statistics.median(opened), 1.0, "below"),
        ],
        full=vars(args) == vars(parser.parse_args([])),
    )


if __name__ == "__main__":
    main()
