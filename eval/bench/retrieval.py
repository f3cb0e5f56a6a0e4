"""Retrieval on public question sets: BM25, dense, and both fused, beside bm25s' own code path.

    python eval/bench/retrieval.py --data DIR

DIR holds a folder for each set, with `corpus.jsonl.gz`, for some sets `corpus.extra.jsonl.gz` (further passages,
without labels), `queries.dev.jsonl.gz`, and for some `qrels.dev.tsv`. How rankings are fused is chosen on a fifth of
the questions of all sets together (by a hash of the id); everything is reported on the other four fifths.
"""

import argparse
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ir_measures
from common import Target, table, write_result

from ragkit import Pipeline
from ragkit.documents import Chunking
from ragkit.evaluation.datasets import load_questions
from ragkit.evaluation.questions import Question
from ragkit.evaluation.statistics import bootstrap_interval, mean
from ragkit.index import DenseSettings, FusionSettings, LocalIndex, SparseSettings
from ragkit.index.filters import Filter
from ragkit.index.fusion import Scored, fuse
from ragkit.models import SentenceTransformerEncoder
from ragkit.stages import RetrieveDense, RetrieveSparse

WITH_EXTRA = ("hotpotqa", "musique", "2wikimultihopqa", "nq_open", "popqa")
SETS = (*WITH_EXTRA, "scifact", "cranfield", "nfcorpus")
MEASURES = tuple(map(ir_measures.parse_measure, ("R@2", "R@5", "R@10", "nDCG@10", "RR@10")))
CORPUS, EXTRA = "corpus.jsonl.gz", "corpus.extra.jsonl.gz"
WHOLE = Chunking(size=100_000)
"""A passage of the corpus is a passage of the index."""
DEPTH = 100
RAW, CHOSEN = "bm25s, its own code path", "hybrid, chosen fusion"
DEFAULT = FusionSettings()
CANDIDATES = {
    **{f"reciprocal rank, k {k}": FusionSettings(k=k) for k in (0, 5, 10, 20, 60)},
    **{
        f"weighted sum, {how}, dense {w / 10:.1f}": FusionSettings(
            method="weighted_sum", normalisation=how, weights={"dense": w / 10, "sparse": 1 - w / 10}
        )
        for how in ("min_max", "z_score")
        for w in range(1, 10)
    },
}

Rankings = dict[str, dict[str, Scored]]
"""By question id: the ranking of each part, by its name."""


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--limit", type=int, help="questions of each set, to try the script")
    options = parser.parse_args()
    encoder = SentenceTransformerEncoder(model="embedded:all-minilm-l6-v2")
    found: dict[str, tuple[dict[str, dict[str, int]], Rankings, dict[str, dict[str, float]]]] = {}
    for name in options.sets:
        for extra in (False, True) if name in WITH_EXTRA else (False,):
            label = f"{name} with extra passages" if extra else name
            print(f"== {label}", flush=True)
            found[label] = search(options.data / name, extra, encoder, options.limit)
    chosen = choose([(qrels, rankings) for qrels, rankings, _ in found.values()])
    print(f"chosen on the validation part: {chosen}")
    figures = {label: measure(*searched, CANDIDATES[chosen]) for label, searched in found.items()}
    show(figures)
    means = {
        method: {str(m): mean([figures[label][method][str(m)]["value"] for label in figures]) for m in MEASURES}
        for method in next(iter(figures.values()))
    }
    show_means(means)
    better = max(means["BM25"]["nDCG@10"] or 0, means["dense"]["nDCG@10"] or 0)
    write_result(
        "retrieval",
        {
            "encoder": encoder.describe(),
            "fusion": {
                "default": DEFAULT.model_dump(),
                CHOSEN: chosen,
                "chosen on": "a fifth of the questions of all sets",
            },
        },
        {"sets": figures, "mean over sets": means},
        [
            Target(
                "BM25, mean nDCG@10 less bm25s' own code path", means["BM25"]["nDCG@10"] - means[RAW]["nDCG@10"], 0.0
            ),
            Target("hybrid, mean nDCG@10 less the better of its parts", means[CHOSEN]["nDCG@10"] - better, 0.0),
        ],
        full=options.limit is None and tuple(options.sets) == SETS,
    )


def search(
    folder: Path, extra: bool, encoder: SentenceTransformerEncoder, limit: int | None
) -> tuple[dict[str, dict[str, int]], Rankings, dict[str, dict[str, float]]]:
    """Return qrels, the rankings of both parts, and those of bm25s as its own documentation uses it."""
    everything = [folder / name for name in (CORPUS, EXTRA) if (folder / name).is_file()]
    searched = everything if extra else [folder / CORPUS]
    # Vectors do not depend on the passages beside them: one dense index serves both corpora. The statistics of BM25 do.
    dense = LocalIndex(documents=names(everything), chunking=WHOLE, dense=DenseSettings(encoder=encoder))
    sparse = LocalIndex(documents=names(searched), chunking=WHOLE, sparse=SparseSettings())
    where = None if searched == everything else Filter(field="source", equals="corpus")
    questions = [q for q in load_questions(folder / "queries.dev.jsonl.gz", limit) if gold(q)]
    asked = [(q.id, q.question) for q in questions]
    rankings: Rankings = {q.id: {} for q in questions}
    for part, stage in (
        ("dense", RetrieveDense(index=dense, k=DEPTH, where=where)),
        ("sparse", RetrieveSparse(index=sparse, k=DEPTH)),
    ):
        for prediction in Pipeline([stage]).predict(asked):
            rankings[prediction.id][part] = [(d.id, d.score or 0.0) for d in prediction.documents]
    return {q.id: gold(q) for q in questions}, rankings, raw_bm25s(searched, questions)


def names(paths: Sequence[Path]) -> tuple[str, ...]:
    """Return paths as the index takes them."""
    return tuple(map(str, paths))


def gold(question: Question) -> dict[str, int]:
    """Return the graded ids of a question's relevant passages."""
    if question.relevance:
        return {name: int(grade) for name, grade in question.relevance.items() if grade > 0}
    return dict.fromkeys(question.supporting_ids, 1)


def raw_bm25s(paths: Sequence[Path], questions: Sequence[Question]) -> dict[str, dict[str, float]]:
    """Return the rankings of bm25s used as in its own README: its tokenizer, stop words and retrieve()."""
    import bm25s
    import Stemmer

    rows = []
    for path in paths:
        with gzip.open(path) as lines:
            rows += [json.loads(line) for line in lines]
    stemmer = Stemmer.Stemmer("english")
    texts = [f"{row.get('title', '')} {row['text']}" for row in rows]
    options: dict[str, Any] = {"stopwords": "en", "stemmer": stemmer, "show_progress": False}
    retriever = bm25s.BM25()
    retriever.index(bm25s.tokenize(texts, **options), show_progress=False)
    tokens = bm25s.tokenize([q.question for q in questions], **options)
    hits, scores = retriever.retrieve(tokens, k=DEPTH, show_progress=False)
    return {
        q.id: {rows[hit]["id"]: float(score) for hit, score in zip(*found, strict=True) if score > 0}
        for q, found in zip(questions, zip(hits, scores, strict=True), strict=True)
    }


def validation(question: str) -> bool:
    """Say whether a question belongs to the fifth on which fusion is chosen."""
    return int(hashlib.sha256(question.encode()).hexdigest(), 16) % 5 == 0


def choose(sets: Sequence[tuple[Mapping[str, Mapping[str, int]], Rankings]]) -> str:
    """Return the fusion with the best nDCG@10 on the validation parts, as the mean over the sets."""
    measure = ir_measures.parse_measure("nDCG@10")

    def quality(name: str) -> float:
        values = []
        for qrels, rankings in sets:
            part = {q: grades for q, grades in qrels.items() if validation(q)}
            run = {q: dict(fuse(rankings[q], CANDIDATES[name], DEPTH)) for q in part}
            values.append(ir_measures.calc_aggregate([measure], part, run)[measure])
        return sum(values) / len(values)

    return max(CANDIDATES, key=quality)


def measure(
    qrels: Mapping[str, dict[str, int]],
    rankings: Rankings,
    bm25s_run: Mapping[str, dict[str, float]],
    fusion: FusionSettings,
) -> dict[str, dict[str, Any]]:
    """Return the figures of each method on the questions that fusion was not chosen on."""
    asked = {question: grades for question, grades in qrels.items() if not validation(question)}
    runs = {
        RAW: {q: bm25s_run[q] for q in asked},
        "BM25": {q: dict(rankings[q]["sparse"]) for q in asked},
        "dense": {q: dict(rankings[q]["dense"]) for q in asked},
        "hybrid, default fusion": {q: dict(fuse(rankings[q], DEFAULT, DEPTH)) for q in asked},
        CHOSEN: {q: dict(fuse(rankings[q], fusion, DEPTH)) for q in asked},
    }
    return {method: estimates(asked, run) for method, run in runs.items()}


def estimates(qrels: dict[str, dict[str, int]], run: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Return value, interval and n of every measure; a question without a result counts as 0."""
    values: dict[str, dict[str, float]] = {str(m): dict.fromkeys(qrels, 0.0) for m in MEASURES}
    for result in ir_measures.iter_calc(MEASURES, qrels, run):
        values[str(result.measure)][result.query_id] = float(result.value)
    found = {}
    for name, by_question in values.items():
        low, high = bootstrap_interval(list(by_question.values())) or (None, None)
        found[name] = {"value": mean(list(by_question.values())), "low": low, "high": high, "n": len(by_question)}
    return found


def show(figures: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """Print a row for each set and method."""
    rows = [["set", "method", *map(str, MEASURES), "n"]]
    for label, methods in figures.items():
        for method, found in methods.items():
            cells = [f"{e['value']:.3f} [{e['low']:.3f}, {e['high']:.3f}]" for e in found.values()]
            rows.append([label, method, *cells, str(next(iter(found.values()))["n"])])
    print(table(rows))


def show_means(means: Mapping[str, Mapping[str, float | None]]) -> None:
    """Print the mean over the sets."""
    rows = [["mean over sets", *map(str, MEASURES)]]
    rows += [[method, *(f"{value:.3f}" for value in found.values())] for method, found in means.items()]
    print(table(rows))


if __name__ == "__main__":
    main()
