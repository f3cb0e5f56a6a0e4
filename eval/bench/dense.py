"""The dense part of an index against FAISS itself: batch search, memory of a build, opening, the torch backend."""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from common import Target, interleave, ratio, table, write_result

from ragkit.engine.calls import LocalResource, Reply, Request
from ragkit.index.dense import DenseIndex, DenseSettings, build_dense
from ragkit.index.dense.plan import Machine, plan
from ragkit.index.dense.torch_search import TorchSearch
from ragkit.index.part import Growth
from ragkit.models.base import Encoder

DIMENSION = 384
K = 10
CENTRES = 2000
KINDS: dict[str, dict[str, float]] = {"Flat": {}, "IVF1024,Flat": {"nprobe": 16}, "HNSW32": {"efSearch": 64}}
BATCHES = {1: 64, 32: 8, 1024: 1}
"""Size of a batch -> batches in a round."""


class RandomEncoder(Encoder, LocalResource):
    """Gives the text `i` a random vector near one of some centres."""

    def fingerprint(self) -> str:
        return "random"

    def describe(self) -> dict[str, Any]:
        return {"id": "random"}

    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        return [Reply(vector(int(request.args["text"]))) for request in batch]


class Numbers:
    """The texts `0`, `1`, ..., made when they are read."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def read(self, start: int, stop: int) -> list[str]:
        return [str(number) for number in range(start, stop)]


def vector(number: int) -> np.ndarray:
    centre = np.random.default_rng(number % CENTRES).standard_normal(DIMENSION, dtype=np.float32)
    return centre + np.random.default_rng(CENTRES + number).standard_normal(DIMENSION, dtype=np.float32)


def settings(factory: str = "Flat", **more: Any) -> DenseSettings:
    return DenseSettings(encoder=RandomEncoder(), factory=factory, device="cpu", **more)


def build(folder: Path, work: Path, factory: str, count: int) -> float:
    start = time.perf_counter()
    build_dense(settings(factory), Growth(Numbers(count), work), folder)
    return time.perf_counter() - start


def peak_memory() -> int:
    """Return the most bytes that this process had in memory (getrusage would count its parent's as well)."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def build_and_report(folder: Path, count: int) -> None:
    """Build in this process; print what a fresh process needs to know of it."""
    before = peak_memory()
    seconds = build(folder / "dense", folder / "work", "Flat", count)
    print(json.dumps({"before": before, "peak": peak_memory(), "seconds": seconds}))


def open_and_report(folder: Path) -> None:
    """Open in this process, which has FAISS loaded; print the seconds to open and of a first search."""
    start = time.perf_counter()
    index = DenseIndex(folder / "dense", settings())
    opened = time.perf_counter() - start
    index.search([vector(0)], K)
    print(json.dumps({"open": opened, "open_and_first_search": time.perf_counter() - start}))


def child(*arguments: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare_search(folder: Path, count: int, rounds: int) -> tuple[dict[str, Any], list[Target]]:
    numbers: dict[str, Any] = {}
    targets = []
    queries = [vector(10**9 + number) for number in range(1024)]
    scaled = np.stack(queries)
    scaled /= np.linalg.norm(scaled, axis=1, keepdims=True)
    rows = [("search", "batch", "ragkit ms/query", "faiss ms/query", "ragkit's throughput by FAISS's")]
    for factory, search in KINDS.items():
        place = folder / factory
        seconds_to_build = build(place, folder / "work", factory, count)
        ours = DenseIndex(place, settings(factory, search=search))
        raw = faiss.read_index(str(place / "vectors.faiss"), faiss.IO_FLAG_MMAP_IFC)
        for name, value in search.items():
            faiss.ParameterSpace().set_index_parameter(raw, name, value)
        for batch, repeats in BATCHES.items():
            starts = [(number * batch) % len(queries) for number in range(repeats)]

            def through_ragkit(starts: list[int] = starts, batch: int = batch, ours: DenseIndex = ours) -> None:
                for start in starts:
                    ours.search(queries[start : start + batch], K)

            def through_faiss(starts: list[int] = starts, batch: int = batch, raw: Any = raw) -> None:
                for start in starts:
                    raw.search(scaled[start : start + batch], K)

            through_ragkit(), through_faiss()  # the pages are in memory now
            seconds = interleave({"ragkit": through_ragkit, "faiss": through_faiss}, rounds)
            share = ratio(seconds["faiss"], seconds["ragkit"])
            each = {name: statistics.median(times) * 1e3 / (batch * repeats) for name, times in seconds.items()}
            rows.append((factory, str(batch), f"{each['ragkit']:.3f}", f"{each['faiss']:.3f}", f"{share:.3f}"))
            numbers[f"{factory}, batch {batch}"] = {"seconds": seconds, "throughput_by_faiss": share}
            if batch > 1:
                targets.append(Target(f"{factory}, batch {batch}: throughput by FAISS's", share, 0.9))
        found = ours.search(queries, K)
        theirs = raw.search(scaled, K)[1]
        same = [[place for place, _ in ranking] == row for ranking, row in zip(found, theirs.tolist(), strict=True)]
        numbers[factory] = {"build_seconds": seconds_to_build, "queries_with_the_ranking_of_faiss": sum(same)}
    print(table(rows))
    return numbers, targets


def compare_torch(folder: Path) -> tuple[dict[str, Any], list[Target]]:
    """Search the Flat index by torch on CPU tensors, resident and streamed, and by FAISS."""
    index = DenseIndex(folder / "Flat", settings())
    queries = [vector(10**9 + number) for number in range(1024)]
    expected = index.search(queries, K)
    vectors = index._vectors
    assert vectors is not None
    equal = {}
    for precision in ("float32", "float16"):
        for memory in (None, 60_000_000):
            backend = TorchSearch(vectors, "cosine", "cpu", precision, memory)
            index._backend = backend
            name = f"{precision}, {'streamed' if backend.streams else 'resident'}"
            equal[name] = sum(ours == theirs for ours, theirs in zip(index.search(queries, K), expected, strict=True))
    print(
        table([("torch on CPU tensors", "rankings equal to FAISS's"), *((n, f"{c} of 1024") for n, c in equal.items())])
    )
    targets = [Target("rankings of torch equal to FAISS's, of 1024 (fewest)", float(min(equal.values())), 1024)]
    return {"rankings_equal_to_faiss_of_1024": equal}, targets


def costs(sample: np.ndarray) -> dict[str, Any]:
    machine = Machine.here(Path())
    numbers: dict[str, Any] = {"machine": asdict(machine), "sample": len(sample)}
    for n in (1_000_000, 10_000_000):
        plans = plan(n, DIMENSION, sample if n == 1_000_000 else None, machine)
        numbers[f"{n} x {DIMENSION}"] = [asdict(row) for row in plans]
        rows = [("plan", "GPU precision", "RAM GB", "VRAM GB", "disk GB", "recall@10 on the sample", "fits")]
        for row in plans:
            vram = "-" if row.vram is None else f"{row.vram / 1e9:.2f}"
            recall = "-" if row.recall is None else f"{row.recall:.3f}"
            lacking = [name for name, fits in row.fits.items() if fits is False]
            rows.append(
                (f"{row.factory} of {n:,}", row.precision, f"{row.ram / 1e9:.2f}", vram, f"{row.disk / 1e9:.2f}",
                 recall, f"not: {', '.join(lacking)}" if lacking else "yes")
            )  # fmt: skip
        print(table(rows))
    return numbers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=100_000, help="vectors in the searches")
    parser.add_argument("--large", type=int, default=1_000_000, help="vectors in the build whose memory is measured")
    parser.add_argument("--rounds", type=int, default=5)
    defaults = vars(parser.parse_args([]))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        search, targets = compare_search(folder, args.passages, args.rounds)
        torch, equality = compare_torch(folder)
    sample = np.stack([vector(number) for number in range(20_000)])
    planned = costs(sample)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        built = child("build", scratch, str(args.large))
        size = (folder / "dense" / "vectors.faiss").stat().st_size
        opened = child("open", scratch)
    bound = 1.3 * size + 500e6
    print(
        f"build of {args.large:,}: before {built['before'] / 1e6:.0f} MB, peak {built['peak'] / 1e6:.0f} MB, "
        f"index {size / 1e6:.0f} MB, {built['seconds']:.0f} s"
    )
    targets += [
        *equality,
        Target("peak memory of the build by (1.3 x the index + 500 MB)", built["peak"] / bound, 1, "below"),
        Target("seconds to open it", opened["open"], 1, "below"),
    ]
    write_result(
        "dense",
        vars(args) | {"dimension": DIMENSION, "k": K, "search": KINDS, "faiss_threads": faiss.omp_get_max_threads()},
        {
            "search": search,
            "torch_on_cpu_tensors": torch,
            "plan": planned,
            "build": built | {"index_bytes": size},
            "open": opened,
            "unverified": "nothing here ran on a GPU: FAISS on CUDA, torch on CUDA (float16 products with float32 "
            "sums, pinned memory, streams), searches of 10M vectors, and the VRAM of the plan",
        },
        targets,
        full=vars(args) == defaults,
    )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["build", folder, count]:
            build_and_report(Path(folder), int(count))
        case ["open", folder]:
            open_and_report(Path(folder))
        case _:
            main()
