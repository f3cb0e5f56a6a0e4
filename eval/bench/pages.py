"""Which retriever finds the gold page of a question, inside its document and among all documents, by kind of evidence.

    python eval/bench/pages.py --data DIR [--visual ADAPTER]

DIR holds PDFs and `queries.dev.jsonl` with questions that name their `file` and gold pages (`<file>#p<page>`). All pages
are ranked; a question's reciprocal rank is that of its first gold page. Unanswerable questions, and those without gold
pages, have no ranking to judge. Weights of fusions are chosen on the training part of the questions (`part_of`); the
table has all questions and, in brackets, the others than those.
"""

import argparse
import asyncio
import itertools
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import Target, table, write_result

from ragkit.documents import PdfSettings
from ragkit.documents.ingest import IngestSettings
from ragkit.documents.page_settings import PageSettings
from ragkit.engine.state import Documents
from ragkit.evaluation.questions import Question, read_questions
from ragkit.index import DenseSettings, LocalIndex, SparseSettings
from ragkit.index.filters import Filter
from ragkit.index.page_vectors import PieceSettings
from ragkit.models import SentenceTransformerEncoder
from ragkit.stages.pages import rank_pages
from ragkit.tuning.split import part_of

KINDS = ("text", "table", "chart", "figure", "layout")
PLAIN = {"tables": False, "figures": False, "headings": False, "drop_running": False, "ocr": "off"}
PAPER = {"tokens": "whitespace", "stemmer": None, "stopwords": None, "fold_accents": False, "method": "robertson"}
BASELINE = {"all": 0.42, "text": 0.59, "figure": 0.37, "table": 0.33}
"""MRR inside the document of stemmed BM25 over plain page text, as the issue gives it."""
ABOVE = 0.10
DEPTH = 2000
CONSTANT = 60
GRID = (0.0, 0.25, 0.5, 1.0, 2.0)

Rankings = dict[str, list[Documents]]
"""Of each retriever, the ranking of each question."""


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path(".ragkit/bench-pages"), help="where the indexes are kept")
    parser.add_argument("--visual", type=Path, help="a page encoder trained by eval/bench/train_page_encoder.py")
    options = parser.parse_args()
    questions = [q for q in read_questions(options.data / "queries.dev.jsonl") if q.answerable and q.supporting_ids]
    indexes = make_indexes(options.data, options.work, options.visual)
    ocr = shutil.which("tesseract") is not None
    if not ocr:
        print("tesseract is not installed: pages without a text layer stay without text")
    figures: dict[str, Any] = {}
    weights: dict[str, Any] = {}
    for scope in ("document", "all"):
        rankings: Rankings = {}
        for name, (index, part) in indexes.items():
            rankings[name] = asyncio.run(rank(index, part, questions, within=scope == "document"))
            print(f"{scope}: {name}", flush=True)
        weights[scope] = add_fusions(rankings, questions)
        figures[scope] = {name: measure(found, questions) for name, found in rankings.items()}
        show(scope, figures[scope])
    best = max((n for n in figures["document"] if n.startswith("fusion")), key=lambda n: figures["document"][n]["all"]["mrr"])
    best = "fusion, weights of the training part"
    targets = [
        Target(f"MRR of {best}, {kind}", figures["document"][best][kind]["mrr"]["value"], base + ABOVE)
        for kind, base in BASELINE.items()
    ]
    settings = {"questions": len(questions), "ocr": ocr, "constant": CONSTANT, "weights": weights}
    write_result("pages", settings, figures, targets)


def make_indexes(data: Path, work: Path, visual: Path | None) -> dict[str, tuple[LocalIndex, str]]:
    """Return the retrievers: an index and its part, built if need be."""
    minilm = SentenceTransformerEncoder(model="embedded:all-minilm-l6-v2")

    def index(name: str, pdf: Mapping[str, Any], **parts: Any) -> LocalIndex:
        made = LocalIndex(
            documents=(str(data / "*.pdf"),),
            path=work / name,
            pages=PageSettings(),
            pdf=PdfSettings(**pdf),
            ingest=IngestSettings(seconds=1200),
            **parts,
        )
        made.prepare(lambda *step: None)
        print(f"{name}: {made.report}", flush=True)
        return made

    own = SparseSettings(statistics="filter")
    read = index("ocr", {}, sparse=own, dense=DenseSettings(encoder=minilm), pieces=PieceSettings(encoder=minilm))
    found = {
        "BM25, as the paper has it": (index("paper", PLAIN, sparse=SparseSettings(**PAPER, engine="rank-bm25", statistics="filter")), "sparse"),
        "BM25, plain text": (index("plain", PLAIN, sparse=SparseSettings()), "sparse"),
        "BM25, plain text, statistics of the document": (index("plain-own", PLAIN, sparse=own), "sparse"),
        "BM25, layout": (index("layout", {"ocr": "off"}, sparse=own), "sparse"),
        "BM25, layout and OCR": (read, "sparse"),
        "dense, page": (read, "dense"),
        "dense, pieces": (read, "pieces"),
    }  # fmt: skip
    return found


async def rank(index: LocalIndex, part: str, questions: Sequence[Question], *, within: bool) -> list[Documents]:
    """Return the pages that a part finds for each question."""
    conditions = [
        Filter.parse({"field": "document", "equals": q.extra["file"]}, "document") if within else None for q in questions
    ]
    asked = zip(questions, conditions, strict=True)
    return [tuple(rank_pages([await index.search(part, q.question, DEPTH, where)], [1.0], CONSTANT)) for q, where in asked]
