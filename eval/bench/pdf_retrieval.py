"""Page retrieval inside long PDFs: which chunking and which search finds the gold pages, by type of question.

    python eval/bench/pdf_retrieval.py --data DIR

DIR holds PDFs and `queries.dev.jsonl` with questions that name their `file` and gold pages (`<file>#p<page>`). Every
question is asked within its own file. Unanswerable questions, and those without gold pages, have no ranking to judge.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import table, write_result

from ragkit import Pipeline
from ragkit.documents import Chunking
from ragkit.documents.ingest import IngestSettings
from ragkit.engine.run import Asked, Prediction
from ragkit.evaluation.metrics import parse_metric
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question, read_questions
from ragkit.evaluation.summary import Estimate, summarise
from ragkit.index import DenseSettings, LocalIndex, SparseSettings
from ragkit.models import SentenceTransformerEncoder
from ragkit.stages import RetrieveDense, RetrieveHybrid, RetrieveSparse

METRICS = ("recall@1", "recall@5", "recall@10", "mrr@10")
CHUNKINGS = {
    "page": Chunking(by="page", size=100_000),
    "tokens": Chunking(by="tokens"),
    "layout": Chunking(by="layout"),
}
SEARCHES = {"BM25": RetrieveSparse, "dense": RetrieveDense, "hybrid": RetrieveHybrid}
DEPTH = 100
KINDS = ("text", "table", "chart", "figure", "layout")


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    questions = [q for q in read_questions(options.data / "queries.dev.jsonl") if q.answerable and q.supporting_ids]
    encoder = SentenceTransformerEncoder(model="embedded:all-minilm-l6-v2")
    figures: dict[str, dict[str, Any]] = {}
    for chunking, settings in CHUNKINGS.items():
        index = LocalIndex(
            documents=(str(options.data / "*.pdf"),),
            chunking=settings,
            ingest=IngestSettings(seconds=600),  # scanned decks, on a busy machine
            dense=DenseSettings(encoder=encoder),
            sparse=SparseSettings(),
        )
        for search, stage in SEARCHES.items():
            figures[f"{chunking}, {search}"] = measure(Pipeline([stage(index=index, k=DEPTH)]), questions)
            print(f"{chunking}, {search}", flush=True)
    show(figures)
    write_result(
        "pdf_retrieval",
        {
            "questions": len(questions),
            "files": len(list(options.data.glob("*.pdf"))),
            "encoder": encoder.describe(),
            "ocr": shutil.which("tesseract") is not None,
        },
        {
            name: {kind: {m: vars(e) for m, e in found.items()} for kind, found in row.items()}
            for name, row in figures.items()
        },
        [],
    )


def measure(pipeline: Pipeline, questions: Sequence[Question]) -> dict[str, dict[str, Estimate]]:
    """Return the figures of all questions and of each kind of evidence (a question may need several kinds)."""
    asked = [Asked(q.id, q.question, {"where": {"field": "document", "equals": q.extra["file"]}}) for q in questions]
    rows = [to_row(prediction) for prediction in pipeline.predict(asked)]
    metrics = [parse_metric(name) for name in METRICS]
    found = {"all": summarise(questions, rows, metrics).overall.metrics}
    for kind in KINDS:
        part = [(q, row) for q, row in zip(questions, rows, strict=True) if kind in q.type.lower()]
        if part:
            found[kind] = summarise([q for q, _ in part], [row for _, row in part], metrics).overall.metrics
    return found


def to_row(prediction: Prediction) -> PredictionRow:
    """Return a prediction as a run folder keeps it."""
    row: PredictionRow = json.loads(json.dumps(prediction.to_row()))
    return row


def show(figures: dict[str, dict[str, dict[str, Estimate]]]) -> None:
    """Print recall@5 by kind, and all metrics over all questions."""
    kinds = list(next(iter(figures.values())))
    rows = [["recall@5", *kinds]]
    rows += [
        [name, *(f"{row[kind]['recall@5'].value:.3f} ({row[kind]['recall@5'].n})" for kind in kinds)]
        for name, row in figures.items()
    ]
    print(table(rows))
    rows = [["all questions", *METRICS]]
    rows += [
        [name, *(f"{row['all'][m].value:.3f} [{row['all'][m].low:.3f}, {row['all'][m].high:.3f}]" for m in METRICS)]
        for name, row in figures.items()
    ]
    print(table(rows))


if __name__ == "__main__":
    main()
