"""Page retrieval in a generated document of 200 pages, whose facts stand in its text, in tables or in captions only.

    python eval/bench/generated_pages.py

60 questions: 20 about the text of a page, 20 about the cells of a table, 20 about a figure of which only the caption
says what it shows. Every place that a question names is named on other pages too, about other things. The figures of
retrievers that see tables and captions are compared with one that sees the other text alone.
"""

import argparse
import asyncio
import json
import random
import resource
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pymupdf
from common import Target, table, write_result

from ragkit.documents import Chunking, PdfSettings
from ragkit.documents.page_settings import PageSettings
from ragkit.documents.pages import Page
from ragkit.engine.state import Documents
from ragkit.evaluation.statistics import bootstrap_interval
from ragkit.index import LocalIndex, SparseSettings
from ragkit.index.filters import Filter
from ragkit.index.page_vectors import PieceSettings
from ragkit.models import SentenceTransformerEncoder
from ragkit.stages import RetrievePages

PAGES, EACH = 200, 20
KINDS = ("text", "table", "figure")
STARTS = ("Cor", "Bel", "Tarn", "Wes", "Hal", "Dun", "Ox", "Mar", "Lin", "Ash")
ENDS = ("vale", "mere", "wick", "ford")
PLACES = [start + end for start in STARTS for end in ENDS]
MONTHS = ("January", "March", "May", "July", "September", "November")
CROPS = ("Barley", "Oats", "Rye", "Flax", "Beet", "Hops")
FIRST = (
    "The work of this season went on as planned.", "Records were kept by hand and checked twice.",
    "Costs stayed within what had been agreed.", "Visitors came on most days of the summer.",
    "The road was closed for some weeks after the floods.", "Two new hands were taken on in spring.",
    "Tools were mended in the workshop during the winter.", "What follows is taken from the books of the office.",
)  # fmt: skip
ABOUT = (
    "At {place} the gate of the upper meadow was painted.", "The keeper of {place} asked for a second horse.",
    "A letter from {place} arrived late in the year.", "{place} lies half a day from the nearest station.",
    "The bridge near {place} was inspected without result.", "Hay from {place} was sold at the autumn market.",
)  # fmt: skip
FACTS = (
    ("The drains at {place} were laid {n} centimetres deep in heavy clay.", "How deep are the drains at {place}?"),
    ("The mill of {place} grinds {n} sacks of grain in a day.", "How much grain can be ground daily in {place}?"),
    ("In {place} the school has room for {n} children.", "How many pupils fit into the school of {place}?"),
    ("The well of {place} was dug by {n} men of the district.", "Who dug the well of {place}, and how many were they?"),
)  # fmt: skip
TABLES = (
    ("Rainfall in millimetres", MONTHS, "How much rain fell in {place} in {row}?"),
    ("Harvest in tonnes", CROPS, "What did the harvest of {row} come to in {place}?"),
)  # fmt: skip
CAPTIONS = (
    ("Aphids counted on leaves of beet around {place}.", "How many insects were found on beet near {place}?"),
    ("Level of the river at {place} through the year.", "How high did the water stand at {place}?"),
    ("Prices of wool paid at the market of {place}.", "What was paid for wool in {place}?"),
    ("Nights with frost observed in the orchards of {place}.", "How often did it freeze in the orchards of {place}?"),
)  # fmt: skip


class Asked(NamedTuple):
    """A question, the page that answers it, and where on the page."""

    question: str
    page: int
    kind: str


def generate(path: Path, seed: int = 0, pages: int = PAGES, each: int = EACH) -> list[Asked]:
    """Write the document and return its questions."""
    dice = random.Random(seed)
    places = dice.sample(PLACES, len(PLACES))
    kinds = [kind for kind in KINDS for _ in range(each)] + ["none"] * (pages - len(KINDS) * each)
    dice.shuffle(kinds)
    asked: list[Asked] = []
    with pymupdf.open() as pdf:
        for number, kind in enumerate(kinds, start=1):
            page = pdf.new_page()
            named = dice.sample(PLACES, 4)
            sentences = [*dice.sample(FIRST, 5), *(dice.choice(ABOUT).format(place=place) for place in named)]
            # A place has one fact of a kind, and those of another kind stand on other pages.
            own = places[sum(each_.kind == kind for each_ in asked) % len(places)]
            if kind == "text":
                fact, question = FACTS[len(asked) % len(FACTS)]
                sentences.append(fact.format(place=own, n=dice.randint(20, 900)))
                asked.append(Asked(question.format(place=own), number, kind))
            dice.shuffle(sentences)
            page.insert_textbox((60, 60, 535, 330), " ".join(sentences), fontsize=11)
            if kind == "table":
                asked.append(Asked(_table(page, dice, own, places[each:], number), number, kind))
            if kind == "figure":
                caption, question = CAPTIONS[len(asked) % len(CAPTIONS)]
                _figure(page, dice, f"Figure {number}: {caption.format(place=own)}")
                asked.append(Asked(question.format(place=own), number, kind))
        pdf.save(path)
    return asked


def _table(page: Any, dice: random.Random, place: str, others: Sequence[str], number: int) -> str:
    """Draw a table whose cells hold the place and two others, which no question is about; return a question."""
    what, rows, question = TABLES[number % len(TABLES)]
    head = ["", place, *dice.sample(others, 2)]
    cells = [head, *([row, *(str(dice.randint(5, 400)) for _ in head[1:])] for row in rows)]
    page.insert_text((80, 392), f"Table {number}: {what}.", fontsize=9)
    for down, row in enumerate(cells):
        for across, cell in enumerate(row):
            box = pymupdf.Rect(80 + 105 * across, 400 + 22 * down, 185 + 105 * across, 422 + 22 * down)
            page.draw_rect(box, width=0.5)
            page.insert_text((box.x0 + 5, box.y0 + 15), cell, fontsize=9)
    return question.format(place=place, row=dice.choice(rows))


def _figure(page: Any, dice: random.Random, caption: str) -> None:
    """Draw bars and write the caption below."""
    page.draw_line((120, 600), (480, 600))
    page.draw_line((120, 400), (120, 600))
    for bar in range(10):
        top = 600 - dice.randint(20, 180)
        page.draw_rect((135 + 33 * bar, top, 158 + 33 * bar, 600), fill=(0.2, 0.4, 0.7), color=None)
    page.insert_text((120, 625), caption, fontsize=9)


def main() -> None:
    """Generate, index, ask, and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, default=Path(".ragkit/bench-generated-pages"))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    asked = generate(options.work / "report.pdf")
    minilm = SentenceTransformerEncoder(model="embedded:all-minilm-l6-v2")
    parts = {"sparse": SparseSettings(), "pieces": PieceSettings(encoder=minilm)}
    index = LocalIndex(
        documents=(str(options.work / "report.pdf"),),
        path=options.work / "index",
        pages=PageSettings(),
        pdf=PdfSettings(ocr="off"),
        **parts,
    )
    begun, used = time.perf_counter(), cpu_seconds()
    index.prepare(lambda *step: None)
    seconds = {"wall": time.perf_counter() - begun, "cpu": cpu_seconds() - used}
    bodies = body_index(index, options.work)
    stages = {
        "BM25, body only": RetrievePages(index=bodies, k=PAGES),
        "BM25": RetrievePages(index=index, k=PAGES, parts=("sparse",)),
        "dense, pieces": RetrievePages(index=index, k=PAGES, parts=("pieces",)),
        "fusion": RetrievePages(index=index, k=PAGES),
    }
    figures = {name: measure(stage, asked) for name, stage in stages.items()}
    rows = [["MRR", *KINDS, "all"]]
    rows += [[name, *(f"{found[kind]['value']:.3f}" for kind in rows[0][1:])] for name, found in figures.items()]
    print(table(rows))
    values = {name: {kind: found[kind]["value"] for kind in found} for name, found in figures.items()}
    single = max(values[name]["all"] for name in ("BM25", "dense, pieces"))
    targets = [
        Target("fusion, text", values["fusion"]["text"], 0.85),
        Target("fusion, table", values["fusion"]["table"], 0.70),
        Target("BM25 with captions less body only, figure", gain(values), 0.30),
        Target("fusion less the best single one, all", values["fusion"]["all"] - single, -0.02),
        # On a machine with other work the time on the clock says little.
        Target("CPU seconds to read and index 200 pages", seconds["cpu"], 60, "below"),
    ]
    write_result("generated_pages", {"pages": PAGES, "questions": len(asked), "seconds": seconds}, figures, targets)


def cpu_seconds() -> float:
    """Return the computing time of this process and of those that it started and that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def gain(values: Mapping[str, Mapping[str, float]]) -> float:
    """Return what captions are worth for questions about figures."""
    return values["BM25"]["figure"] - values["BM25, body only"]["figure"]


def body_index(index: LocalIndex, work: Path) -> LocalIndex:
    """Return an index of the same pages without what belongs to tables and figures."""
    everything = Filter.parse({"field": "page", "at_least": 1}, "bench")
    with (work / "bodies.jsonl").open("w", encoding="utf-8") as rows:
        for passage in index.select(everything, PAGES):
            page = Page.of(passage)
            text = page.body or "-"
            rows.write(json.dumps({"id": f"page {page.number}", "page": page.number, "text": text}) + "\n")
    made = LocalIndex(
        documents=(str(work / "bodies.jsonl"),),
        path=work / "bodies",
        chunking=Chunking(by="tokens", size=100_000),
        sparse=SparseSettings(),
    )
    made.prepare(lambda *step: None)
    return made


def measure(stage: RetrievePages, asked: Sequence[Asked]) -> dict[str, dict[str, float]]:
    """Return the mean reciprocal rank of the gold pages by kind."""
    found: dict[str, list[float]] = {kind: [] for kind in (*KINDS, "all")}
    for question, page, kind in asked:
        ranking: Documents = asyncio.run(stage.run((question,)))
        ranks = [rank for rank, each in enumerate(ranking, start=1) if each.metadata.get("page") == page]
        for group in (kind, "all"):
            found[group].append(1 / ranks[0] if ranks else 0.0)
    return {kind: interval(values) for kind, values in found.items()}


def interval(values: Sequence[float]) -> dict[str, float]:
    low, high = bootstrap_interval(values) or (float("nan"), float("nan"))
    return {"value": float(np.mean(values)), "low": low, "high": high, "n": len(values)}


if __name__ == "__main__":
    main()
