"""BM25 over synthetic passages: building, growing and searching, against bm25s' own retrieval and rank-bm25.

Words follow Zipf's law (exponent 1, 300,000 words), passages have 20 to 120 of them, and queries take 2 to 8 words of
some passage, not the 30 most frequent ones, which a list of stop words would drop. bm25s and rank-bm25 get the terms of
the query ready made; ragkit's time includes the analysis of the query. rank-bm25 has no `lucene`, so the top 10 are
compared for `robertson`.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
from common import Target, interleave, ratio, table, write_result

from ragkit.index.part import Growth
from ragkit.index.sparse import Analyser, SparseIndex, SparseSettings, build_sparse

WORDS, STOP, K = 300_000, 30, 10
PIECE = 10_000
LUCENE = SparseSettings(stemmer=None, stopwords=None)
OKAPI = SparseSettings(stemmer=None, stopwords=None, method="robertson")
REFERENCE = SparseSettings(stemmer=None, stopwords=None, method="robertson", engine="rank-bm25")


class ZipfTexts:
    """Passages by position, each made anew from its number: none is kept."""

    def __init__(self, count: int) -> None:
        self._count = count
        weights = np.cumsum(1 / np.arange(1, WORDS + 1))
        self._bounds = weights / weights[-1]

    def __len__(self) -> int:
        return self._count

    def read(self, start: int, stop: int) -> list[str]:
        pieces = range(start // PIECE, (stop - 1) // PIECE + 1)
        texts = [text for piece in pieces for text in self._piece(piece)]
        return texts[start - pieces[0] * PIECE : stop - pieces[0] * PIECE]

    def _piece(self, number: int) -> list[str]:
        random = np.random.default_rng(number)
        lengths = random.integers(20, 121, PIECE)
        words = np.searchsorted(self._bounds, random.random(lengths.sum())).astype(str)
        return [" ".join(part) for part in np.split(words, np.cumsum(lengths)[:-1])]


def make_queries(count: int, passages: int) -> list[str]:
    random = np.random.default_rng(1)
    texts = ZipfTexts(passages)
    queries = []
    while len(queries) < count:
        position = int(random.integers(passages))
        words = [word for word in texts.read(position, position + 1)[0].split() if int(word) >= STOP]
        size = int(random.integers(2, 9))
        if len(words) >= size:
            queries.append(" ".join(random.choice(words, size, replace=False)))
    return queries


def build(folder: Path, passages: int, settings: SparseSettings, **growth: Any) -> None:
    build_sparse(settings, Growth(ZipfTexts(passages), folder.parent / "work", **growth), folder)


def build_apart(folder: Path, passages: int) -> dict[str, float]:
    """Build in a process of its own; return seconds, and the memory that it needed beyond its imports, in MB."""
    arguments = [sys.executable, __file__, "--build", str(folder), "--sizes", str(passages)]
    before, after, seconds = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.split()
    return {"seconds": float(seconds), "peak_mb": float(after) - float(before)}


def build_and_tell(folder: Path, passages: int) -> None:
    Analyser(LUCENE)("é")
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    build(folder, passages, LUCENE)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(before / 1024, after / 1024, time.perf_counter() - start)


def timed(action: Callable[[], Any]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def same_top(ours: list[list[tuple[int, float]]], theirs: Any, scores: Any, factor: float = 1.0) -> bool:
    """Say whether two searches found the same passages, but for the order of equal scores and the last of several."""
    for ranking, positions, values in zip(ours, theirs, scores, strict=True):
        if not np.allclose([score * factor for _, score in ranking], values[: len(ranking)], rtol=1e-5):
            return False
        above = {
            int(p) for p, value in zip(positions, values, strict=True) if value > values[len(ranking) - 1] * 1.00001
        }
        if not above <= {position for position, _ in ranking}:
            return False
    return True


def measure(passages: int, args: argparse.Namespace, home: Path) -> dict[str, Any]:
    """Build, grow and search an index of one size; return the numbers."""
    folder, grown, okapi = home / f"{passages}", home / f"{passages}-grown", home / f"{passages}-okapi"
    numbers: dict[str, Any] = {"build": build_apart(folder, passages)}
    more = passages // 100
    numbers["grow_by_1_percent_seconds"] = timed(
        lambda: build(grown, passages + more, LUCENE, previous=folder, start=passages)
    )
    numbers["folder_mb"] = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6
    build(okapi, passages, OKAPI, previous=folder, start=passages)  # the same counts, scored another way

    queries = make_queries(args.queries, passages)
    terms = [Analyser(LUCENE)(query) for query in queries]
    index, raw = SparseIndex(folder, LUCENE), bm25s.BM25.load(folder, mmap=True)
    found: dict[str, Any] = {}

    def ours() -> None:
        found["ragkit"] = index.search(queries, K)

    def theirs() -> None:
        found["bm25s"] = raw.retrieve(terms, k=K, show_progress=False, backend_selection="numpy")

    contenders: dict[str, Callable[[], Any]] = {"ragkit": ours, "bm25s": theirs}
    if bm25s.NUMBA_AVAILABLE:
        fast = bm25s.BM25.load(folder, mmap=True, backend="numba")
        fast.activate_numba_scorer()
        contenders["bm25s, numba"] = lambda: fast.retrieve(terms, k=K, show_progress=False)
    for run in contenders.values():
        run()  # reads the files, compiles
    numbers["seconds"] = interleave(contenders, args.rounds)
    numbers["same_as_bm25s"] = same_top(found["ragkit"], found["bm25s"].documents, found["bm25s"].scores)

    few = queries[: args.reference_queries]
    okapi_index, reference = SparseIndex(okapi, OKAPI), SparseIndex(okapi, REFERENCE)
    numbers["reference"] = {
        "ragkit": statistics.median(timed(lambda: okapi_index.search(few, K)) for _ in range(5)),
        "rank-bm25": timed(lambda: found.update({"rank-bm25": reference.search(few, K)})),
    }
    expected = found["rank-bm25"]
    numbers["same_as_rank_bm25"] = same_top(
        okapi_index.search(few, K),
        [[position for position, _ in ranking] for ranking in expected],
        [[score for _, score in ranking] for ranking in expected],
        factor=OKAPI.k1 + 1,
    )
    return numbers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--reference-queries", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.build:
        build_and_tell(args.build, args.sizes[0])
        return
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as home:
        numbers = {size: measure(size, args, Path(home)) for size in args.sizes}
    rows = [("passages", "contender", "ms per query")]
    targets = []
    for size, found in numbers.items():
        for name, seconds in found["seconds"].items():
            rows.append((f"{size:,}", name, f"{1000 * statistics.median(seconds) / args.queries:.2f}"))
        reference = found["reference"]
        rows.append((f"{size:,}", "rank-bm25", f"{1000 * reference['rank-bm25'] / args.reference_queries:.0f}"))
        build_seconds, memory = found["build"]["seconds"], found["build"]["peak_mb"]
        print(f"{size:,} passages built in {build_seconds:.0f} s with {memory:.0f} MB beyond the imports")
        more = found["grow_by_1_percent_seconds"]
        print(f"1 % more in {more:.1f} s, {build_seconds / more:.1f} times faster; {found['folder_mb']:.0f} MB on disk")
        seconds = found["seconds"]
        targets += [
            Target(f"{size:,}: speed by bm25s'", ratio(seconds["bm25s"], seconds["ragkit"]), 0.9),
            Target(f"{size:,}: speed by rank-bm25's", reference["rank-bm25"] / reference["ragkit"], 100),
            Target(f"{size:,}: top {K} as bm25s", float(found["same_as_bm25s"]), 1),
            Target(f"{size:,}: top {K} as rank-bm25", float(found["same_as_rank_bm25"]), 1),
        ]
    print(table(rows))
    settings = {name: value for name, value in vars(args).items() if name != "build"}
    write_result("sparse", settings, numbers, targets, full=vars(args) == vars(parser.parse_args([])))


if __name__ == "__main__":
    main()
