"""FlashRAG's JSONL: `{id, question, golden_answers, metadata}` a line."""

from pathlib import Path
from typing import Any

from ragkit.evaluation.datasets.fields import texts
from ragkit.evaluation.questions import Question, collect, numbered_lines, parse_json, question_of


def read_flashrag(place: str, limit: int | None = None) -> list[Question]:
    """Read a FlashRAG file (`.jsonl` or `.jsonl.gz`).

    `metadata` becomes `extra`; its `supporting_facts` (titles) become the gold ids, which fit a corpus whose documents
    are named by their titles.

    Source: Jin et al. 2024, FlashRAG, arXiv 2405.13576.

    Raises:
        InputError: the file cannot be read, holds no question, or has bad lines.
    """
    path = Path(place)
    return collect(path, numbered_lines(path), lambda line, number: flashrag_question(parse_json(line), number), limit)


def flashrag_question(row: Any, number: int) -> Question:
    """Return the question of a FlashRAG row.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(row, dict):
        raise ValueError(f"a question is one JSON object, not {type(row).__name__}")
    if "golden_answers" not in row:
        raise ValueError("missing key 'golden_answers'")
    metadata = row.get("metadata")
    metadata = dict(metadata) if isinstance(metadata, dict) else {}
    facts = metadata.get("supporting_facts")
    titles = texts(facts.get("title", ())) if isinstance(facts, dict) else ()
    rest = {key: value for key, value in row.items() if key not in ("golden_answers", "metadata")}
    own = {
        "answers": texts(row["golden_answers"]),
        "supporting_ids": list(dict.fromkeys(titles)),
        "type": str(metadata.pop("type", "")),
    }
    if "id" in rest:
        rest["id"] = str(rest["id"])
    return question_of({**metadata, **rest, **own}, number)
