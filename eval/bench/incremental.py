"""An index that follows its documents: 1 % added, replaced or deleted, against building the index anew.

The documents are paragraphs of the field guide, recombined until there are enough different ones, in JSONL files; the
index has a dense part (Flat, the embedded encoder, its weights loaded before) and a sparse one. Each round starts from
a fresh copy of the same index. What comes of a change is compared with the index built anew: the rankings of words have
to be the same; those of vectors may differ in near-ties, as an encoder's last digits depend on its batches.
"""

import argparse
import asyncio
import json
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from common import Target, ratio, table, write_result
from texts import passages

from ragkit.index import DenseSettings, LocalIndex, SparseSettings
from ragkit.models.sentence_transformers_models import SentenceTransformerEncoder

MODEL = "embedded:all-minilm-l6-v2"
ANEW = "built anew"
QUERIES = ("When is wheat dry enough to store?", "How deep is maize sown?", "What lowers the yield of barley?")

Rows = dict[str, str]
Rankings = dict[str, list[tuple[str, float]]]
"""(id, score) of the best passages of all queries, by part."""


def documents(count: int) -> Rows:
    """Return different texts of about 60 words by id."""
    pieces = passages(48, 1000)
    rng = random.Random(0)
    return {f"d{number}": f"{number}. " + " ".join(rng.sample(pieces, 2)) for number in range(count)}


def write(folder: Path, name: str, rows: Mapping[str, str]) -> None:
    lines = (json.dumps({"id": key, "text": text}) + "\n" for key, text in rows.items())
    (folder / name).write_text("".join(lines), encoding="utf-8")


def split(rows: Rows, files: int) -> dict[str, Rows]:
    """Deal rows into files."""
    keys = list(rows)
    return {f"{n:02d}.jsonl": {key: rows[key] for key in keys[n::files]} for n in range(files)}


class Bench:
    """A corpus folder, and indexes of it."""

    def __init__(self, folder: Path, corpus: dict[str, Rows], encoder: SentenceTransformerEncoder) -> None:
        self.folder, self.corpus, self.encoder = folder, corpus, encoder
        (folder / "corpus").mkdir()
        self.put(corpus)

    def put(self, corpus: dict[str, Rows]) -> None:
        """Make the folder hold these files."""
        for path in (self.folder / "corpus").iterdir():
            if path.name not in corpus:
                path.unlink()
        for name, rows in corpus.items():
            write(self.folder / "corpus", name, rows)

    def index(self, name: str) -> LocalIndex:
        return LocalIndex(
            documents=("corpus/*.jsonl",),
            base=self.folder,
            path=self.folder / name,
            dense=DenseSettings(encoder=self.encoder),
            sparse=SparseSettings(),
        )

    def seconds(self, name: str) -> tuple[float, Rankings]:
        """Bring an index up to date; return how long that took, and the rankings of its parts."""
        index = self.index(name)
        start = time.perf_counter()
        index.prepare(lambda *step: None)
        elapsed = time.perf_counter() - start

        async def search(part: str) -> list[tuple[str, float]]:
            found = [await index.search(part, query, 10) for query in QUERIES]
            return [(passage.id, passage.score or 0.0) for ranking in found for passage in ranking]

        rankings = {part: asyncio.run(search(part)) for part in index.parts}
        index.close()
        return elapsed, rankings


def changes(corpus: dict[str, Rows], new: Rows) -> dict[str, dict[str, Rows]]:
    """Return the corpus after each kind of change."""
    first = next(iter(corpus))
    few = list(corpus[first])[: len(new)]
    texts = dict(zip(few, new.values(), strict=True))
    return {
        "added, a new file": corpus | {"new.jsonl": new},
        "added, rows of a file": corpus | {first: corpus[first] | new},
        "replaced, rows of a file": corpus | {first: corpus[first] | texts},
        "deleted, rows of a file": corpus | {first: {k: v for k, v in corpus[first].items() if k not in texts}},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    rows = documents(args.documents + args.documents // 100)
    kept = dict(list(rows.items())[: args.documents])
    new = {key: text for key, text in rows.items() if key not in kept}
    encoder = SentenceTransformerEncoder(model=MODEL)
    asyncio.run(encoder.embed("the weights are loaded now"))
    seconds: dict[str, list[float]] = {}
    same: list[int] = []
    of: list[int] = []
    with tempfile.TemporaryDirectory() as temporary:
        bench = Bench(Path(temporary), split(kept, args.files), encoder)
        bench.seconds("first")
        for number in range(args.rounds):
            for name, corpus in changes(bench.corpus, new).items():
                shutil.copytree(bench.folder / "first", bench.folder / "changed")
                bench.put(corpus)
                elapsed, rankings = bench.seconds("changed")
                seconds.setdefault(name, []).append(elapsed)
                shutil.rmtree(bench.folder / "changed")
                if name == list(changes(bench.corpus, new))[number % 4]:  # another one of them in each round
                    whole, expected = bench.seconds("anew")
                    seconds.setdefault(ANEW, []).append(whole)
                    shutil.rmtree(bench.folder / "anew")
                    assert sorted(rankings["sparse"]) == sorted(expected["sparse"]), f"{name}: other rankings of words"
                    same.append(len(dict(rankings["dense"]).keys() & dict(expected["dense"]).keys()))
                    of.append(len(dict(expected["dense"])))
    faster = {name: ratio(seconds[ANEW], times) for name, times in seconds.items()}
    lines = [(name, f"{statistics.median(times):.2f}", f"{faster[name]:.0f}") for name, times in seconds.items()]
    print(table([("1 % of the documents", "seconds", "times faster than anew"), *lines]))
    write_result(
        "incremental",
        vars(args) | {"model": MODEL, "changed": len(new)},
        {"seconds": seconds, "times_faster": faster, "same_best_passages_by_vectors": sum(same) / sum(of)},
        [Target(f"1 % {name}", faster[name], 20.0) for name in faster if name.startswith("added")],
        full=vars(args) == vars(parser.parse_args([])),
    )


if __name__ == "__main__":
    main()
