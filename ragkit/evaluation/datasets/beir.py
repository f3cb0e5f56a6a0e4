"""BEIR folders: `queries.jsonl`, `qrels/<split>.tsv`; the documents (`corpus.jsonl`) are read by the index."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ragkit.errors import InputError, did_you_mean
from ragkit.evaluation.datasets.trec import read_qrels, with_qrels
from ragkit.evaluation.questions import Question, collect, numbered_lines, parse_json, question_of

_QUERIES = ("queries.jsonl", "queries.jsonl.gz")


def read_beir(place: str, limit: int | None = None) -> list[Question]:
    """Read the queries of a BEIR folder that the qrels of a split judge, with their grades.

    Args:
        place: the folder, or `folder:split`; without a split `test`.
        limit: only the first so many judged queries.

    Source: Thakur et al. 2021, BEIR, arXiv 2104.08663.

    Raises:
        InputError: a file is missing, the split judges no query, or a file has bad lines.
    """
    folder, split = _split(place)
    queries = next((folder / name for name in _QUERIES if (folder / name).is_file()), None)
    if queries is None:
        raise InputError(f"beir:{place}: there is no queries.jsonl in {folder}")
    judged = folder / "qrels" / f"{split}.tsv"
    if not judged.is_file():
        splits = sorted(path.stem for path in (folder / "qrels").glob("*.tsv"))
        hint = did_you_mean(split, splits)
        raise InputError(f"beir:{place}: there is no qrels/{split}.tsv{hint} (splits: {', '.join(splits) or 'none'})")
    qrels = read_qrels(judged)

    def rows() -> Iterator[tuple[int, Any]]:
        for number, line in numbered_lines(queries):
            try:
                row = parse_json(line)
            except ValueError as error:
                raise InputError(f"{queries}:{number}: not valid JSON: {error}") from None
            if not isinstance(row, dict) or str(row.get("_id")) in qrels:
                yield number, row

    questions = collect(queries, rows(), _question, limit)
    return with_qrels(questions, qrels)


def _split(place: str) -> tuple[Path, str]:
    if Path(place).is_dir():
        return Path(place), "test"
    folder, colon, split = place.rpartition(":")
    if not colon or not Path(folder).is_dir():
        raise InputError(f"beir:{place}: no such folder")
    return Path(folder), split


def _question(row: Any, number: int) -> Question:
    if not isinstance(row, dict):
        raise ValueError(f"a query is one JSON object, not {type(row).__name__}")
    if "_id" not in row or "text" not in row:
        raise ValueError("a query has '_id' and 'text'")
    metadata = row.get("metadata")
    extra = metadata if isinstance(metadata, dict) else {}
    return question_of({**extra, "id": str(row["_id"]), "question": row["text"]}, number)
