"""What a memory saves on real questions (searches, passages from outside, time), and what that costs in quality.

Paraphrases: 100 questions of nq_open fill a memory, 200 paraphrases of them are asked, two of each, written by hand
(data/paraphrases.jsonl; the questions themselves are in the data folder). Neighbours: one question about each of some
paragraphs of squad_xquad_en fills it, the other questions about the same paragraphs are asked. The threshold is chosen
on questions about other things than those that are reported on.

A query is compared with the titles of passages, as in the paper, or with the queries that brought them. A search gives
five passages (BM25 and MiniLM fused), a query needs three titles (theta), and everything that was found
is stored: no filter is in the way, so that the memory is measured and nothing else. Quality is whether the gold passage
is among those at hand (`recall@1000`), by which the threshold is chosen, and, at the chosen threshold, whether the
answer of the embedded reader, tuned, holds the gold answer (`hit`).

Latency: the paraphrases of 40 questions one after the other, with a search outside that takes a second (a langchain
retriever that waits), with and without the reader. Seconds are those of a question's calls.
"""

import argparse
import asyncio
import gzip
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common import Target, table, write_result
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from ragkit import Pipeline
from ragkit.engine.controls import Branch
from ragkit.engine.nodes import Node
from ragkit.engine.state import Passage
from ragkit.evaluation.memory_calibration import TAUS, calibrate_memory
from ragkit.index import LangChainRetriever, LocalIndex
from ragkit.stages import RetrieveHybrid

PARAPHRASES = Path(__file__).parent / "data" / "paraphrases.jsonl"
EVIDENCE, ANSWER = "recall@1000", "hit"
ALLOWED = 0.01
DELAY = 1.0
CASES = (("paraphrases", "title"), ("paraphrases", "query"), ("neighbours", "title"), ("neighbours", "query"))
TIMED_FIELD = "query"
TIMED = 40  # questions that fill the memory where time is measured
CORPORA = {
    "paraphrases": ("nq_open/corpus.jsonl.gz", "nq_open/corpus.extra.jsonl.gz"),
    "neighbours": ("squad_xquad_en/corpus.jsonl.gz", "nq_open/corpus.extra.jsonl.gz"),
}
PIPELINE = """
name: memory_reuse
models:
  reader: {provider: transformers, model: "embedded:smollm2-135m-instruct", adapter: "embedded:reader"}
  minilm: {provider: sentence-transformers, model: "embedded:all-minilm-l6-v2"}
index:
  documents: [DOCUMENTS]
  dense: {encoder: minilm}
  sparse: {stemmer: english}
memory: {encoder: minilm, fields: [FIELD]}
pipeline:
  - memory.trigger: {tau: 0.6, theta: 3}
  - branch:
      "on": {field: vars.external, equals: true}
      then: [{retrieve.hybrid: {k: 5}}]
      else: [{memory.recall: {}}]
  - memory.store:
  - context.pack: {model: reader, tokens: 384}
  - answer.read: {model: reader, prompt: answer.read.tuned}
"""

_READING = 3
"""Steps of the pipeline before the reader's."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Split:
    """Questions that fill a memory and questions that are asked then."""

    fill: Rows
    ask: Rows

    def first(self, count: int) -> "Split":
        """Return the first questions that fill a memory, with those that are asked about them."""
        gold = {tuple(row["supporting_ids"]) for row in self.fill[:count]}
        return Split(self.fill[:count], [row for row in self.ask if tuple(row["supporting_ids"]) in gold])

    def write(self, folder: Path) -> tuple[str, str]:
        """Write two files of questions; return their paths."""
        paths = []
        for name, rows in (("fill", self.fill), ("ask", self.ask)):
            paths.append(folder / f"{name}-{len(rows)}-{hashlib.sha256(repr(rows).encode()).hexdigest()[:8]}.jsonl")
            paths[-1].write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return str(paths[0]), str(paths[1])


class SlowWeb(BaseRetriever):
    """A search outside that takes its time; what it finds was found before."""

    found: Mapping[str, Sequence[Passage]]

    def _get_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
        raise AssertionError("asked asynchronously")

    async def _aget_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
        await asyncio.sleep(DELAY)
        return [Document(id=p.id, page_content=p.page_content, metadata=p.metadata) for p in self.found[query]]


def read(path: Path) -> Rows:
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    return [json.loads(line) for line in text.splitlines()]


def paraphrases(data: Path) -> dict[str, Split]:
    known = {row["id"]: row for row in read(data / "nq_open" / "queries.dev.jsonl.gz")}
    splits = {name: Split([], []) for name in ("calibration", "report")}
    for row in read(PARAPHRASES):
        original = known[row["of"]]
        gold = {key: original[key] for key in ("answers", "supporting_ids")}
        split = splits[row["split"]]
        split.fill.append({"id": row["of"], "question": original["question"], **gold})
        split.ask.extend(
            {"id": f"{row['of']}-{n}", "question": text, **gold} for n, text in enumerate(row["questions"])
        )
    return splits


def neighbours(data: Path) -> dict[str, Split]:
    titles = {row["id"]: row["title"] for row in read(data / "squad_xquad_en" / "corpus.jsonl.gz")}
    about: dict[str, Rows] = {}
    for row in read(data / "squad_xquad_en" / "queries.dev.jsonl.gz"):
        kept = {key: row[key] for key in ("id", "question", "answers", "supporting_ids")}
        about.setdefault(row["supporting_ids"][0], []).append(kept)
    splits = {name: Split([], []) for name in ("calibration", "report")}
    for paragraph, rows in about.items():
        if len(rows) > 1:  # articles, not paragraphs, are dealt out: titles are what a memory goes by
            third = hashlib.sha256(titles[paragraph].encode()).digest()[0] % 3
            split = splits["report" if third else "calibration"]
            split.fill.append(rows[0])
            split.ask.extend(rows[1:])
    return splits


def load(data: Path, name: str, field: str, *, cache: bool = True, wave: int = 50) -> Pipeline:
    documents = ", ".join(json.dumps(str(data / file)) for file in CORPORA[name])
    run = f"run: {{wave: {wave}, cache: {str(cache).lower()}}}\n"
    return Pipeline.from_yaml(PIPELINE.replace("DOCUMENTS", documents).replace("FIELD", field) + run)


def reuse(
    data: Path, folder: Path, name: str, field: str, splits: Mapping[str, Split], *, reading: bool
) -> dict[str, Any]:
    """Choose a threshold on the one split; measure all of them on the other, and there the chosen one with a reader."""
    files = {split: questions.write(folder) for split, questions in splits.items()}
    with load(data, name, field) as pipeline:
        searching = Pipeline(pipeline.nodes[:_READING], models=pipeline.models, index=pipeline.index,
                             run=pipeline.settings)  # fmt: skip
        chosen = calibrate_memory(searching, *files["calibration"], metric=EVIDENCE, allowed=ALLOWED, taus=TAUS)
        report = {EVIDENCE: calibrate_memory(searching, *files["report"], metric=EVIDENCE, allowed=ALLOWED, taus=TAUS)}
        if chosen.chosen is not None and reading:
            taus = [chosen.chosen]
            report[ANSWER] = calibrate_memory(pipeline, *files["report"], metric=ANSWER, allowed=ALLOWED, taus=taus)
    return {
        "chosen": chosen.chosen,
        "calibration": asdict(chosen),
        "report": {metric: asdict(sweep) for metric, sweep in report.items()},
    }


def latency(data: Path, folder: Path, field: str, split: Split, tau: float, *, reading: bool) -> dict[str, Any]:
    """Ask without reuse and at one threshold, one question after the other, with a slow search."""
    with load(data, "paraphrases", field, cache=False, wave=1) as pipeline:
        pipeline.prepare()
        assert isinstance(pipeline.index, LocalIndex)
        queries = [row["question"] for row in (*split.fill, *split.ask)]
        index = pipeline.index

        async def search() -> dict[str, Sequence[Passage]]:
            return {query: await index.search_hybrid(query, 5) for query in queries}

        slow = LangChainRetriever.wrap(SlowWeb(found=asyncio.run(search())), "slow")
        trigger, branch, *rest = pipeline.nodes
        assert isinstance(branch, Branch)
        nodes: list[Node] = [trigger, branch.model_copy(update={"then": as_steps(RetrieveHybrid(index=slow, k=5))})]
        nodes += rest if reading else rest[: _READING - 2]
        asked = Pipeline(nodes, models=pipeline.models, run=pipeline.settings)
        swept = calibrate_memory(asked, *split.write(folder), metric=EVIDENCE, allowed=1.0, taus=[tau])
        return {"asked": swept.asked["count"], "without": asdict(swept.without), "with": asdict(swept.curve[0])}


def as_steps(stage: RetrieveHybrid) -> tuple[Node, ...]:
    return Branch(on={"field": "vars.external", "equals": True}, then=(stage,)).then


def less(before: float, now: float) -> float:
    """Return how much smaller a figure has become, as a share."""
    return 1 - now / before


def at(sweep: Mapping[str, Any], tau: float) -> dict[str, Any]:
    found: dict[str, Any] = next(point for point in sweep["curve"] if point["tau"] == tau)
    return found


def show(name: str, sweep: Mapping[str, Any], chosen: float | None) -> None:
    head = ("tau", sweep["metric"], "lost", "95 % interval", "searches", "passages from outside")
    rows = [head]
    for point in (sweep["without"], *sweep["curve"]):
        low, high = point["loss_interval"]
        label = "no reuse" if point is sweep["without"] else f"{point['tau']:g}" + " *" * (point["tau"] == chosen)
        figures = (f"{point['value']:.3f}", f"{point['loss']:+.3f}", f"{low:+.3f} to {high:+.3f}")
        rows.append((label, *figures, f"{point['searches']:.3f}", f"{point['items']:.2f}"))
    print(f"\n{name}: {sweep['filled']['count']} questions filled, {sweep['asked']['count']} asked")
    print(table(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with a folder for each set")
    parser.add_argument("--no-reading", action="store_true", help="leave out the reader")
    parser.add_argument("--no-latency", action="store_true", help="leave out the part that waits")
    args = parser.parse_args()
    data = args.data.resolve()
    numbers: dict[str, Any] = {}
    targets: list[Target] = []
    with tempfile.TemporaryDirectory() as temporary:
        os.environ.setdefault("RAGKIT_HOME", str(Path(temporary) / "home"))
        folder = Path(temporary)
        sets = {"paraphrases": paraphrases(data), "neighbours": neighbours(data)}
        for name, field in CASES:
            case = f"{name}, by {field}"
            numbers[case] = found = reuse(data, folder, name, field, sets[name], reading=not args.no_reading)
            tau = found["chosen"]
            show(f"{case}, calibration", found["calibration"], tau)
            for sweep in found["report"].values():
                show(f"{case}, report", sweep, tau)
            if tau is not None:
                evidence, without = at(found["report"][EVIDENCE], tau), found["report"][EVIDENCE]["without"]
                targets += [
                    Target(f"{case}: fewer passages from outside", less(without["items"], evidence["items"]), 0.6),
                    *(
                        Target(f"{case}: {metric} lost", at(sweep, tau)["loss"], 0.0101, "below")
                        for metric, sweep in found["report"].items()
                    ),
                ]
        tau = numbers[f"paraphrases, by {TIMED_FIELD}"]["chosen"]
        if tau is not None and not args.no_latency:
            for label, reading in (("search alone", False), ("with the reader", True)):
                numbers[f"latency, {label}"] = timed = latency(
                    data, folder, TIMED_FIELD, sets["paraphrases"]["report"].first(TIMED), tau, reading=reading
                )
                saved = less(timed["without"]["seconds"], timed["with"]["seconds"])
                targets.append(Target(f"time saved with a search of {DELAY:g} s, {label}", saved, 0.35))
    settings = {"theta": 3, "k": 5, "allowed": ALLOWED, "delay": DELAY, "timed": TIMED, "taus": list(TAUS)}
    write_result("memory_reuse", settings, numbers, targets, full=not (args.no_latency or args.no_reading))


if __name__ == "__main__":
    main()
