"""Read questions from whatever form a source names: `form:place`, or a plain path for ragkit's own JSONL."""

import re
from collections.abc import Callable
from pathlib import Path

from ragkit.errors import InputError, did_you_mean
from ragkit.evaluation.datasets.beir import read_beir
from ragkit.evaluation.datasets.flashrag import read_flashrag
from ragkit.evaluation.datasets.hub import read_hub
from ragkit.evaluation.datasets.trec import read_qrels, with_qrels
from ragkit.evaluation.questions import Question, read_questions

FORMS: dict[str, Callable[[str, int | None], list[Question]]] = {
    "beir": read_beir,
    "flashrag": read_flashrag,
    "hf": read_hub,
}
_FORM = re.compile(r"([a-z_]{2,}):(.+)", re.DOTALL)
_QUERIES = re.compile(r"queries\.(\w+)\.jsonl(\.gz)?")


def load_questions(source: str | Path, limit: int | None = None) -> list[Question]:
    """Read questions.

    A source is one of
      - `dev.jsonl`, `dev.jsonl.gz`: ragkit's own form, see `read_questions`; beside a file `queries.<split>.jsonl`,
        graded relevance is read from `qrels.<split>.tsv` if there is one;
      - `flashrag:dev.jsonl`: FlashRAG's form (id, question, golden_answers, metadata);
      - `beir:folder` or `beir:folder:split`: a BEIR folder (queries.jsonl, qrels/<split>.tsv, by default test);
      - `hf:name`, `hf:name:config`, `hf:name:config:split`: a set of the Hugging Face hub, or a folder of that form.

    Args:
        source: where the questions are.
        limit: read only the first `limit` questions.

    Raises:
        InputError: the form is unknown, the file cannot be read, holds no question, or has bad lines.
        MissingPackageError: a form needs a package that is not installed.
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit must be at least 1, not {limit}")
    named = _FORM.fullmatch(str(source))
    if named is None:
        path = Path(source)
        return _with_qrels_beside(path, read_questions(path, limit))
    form, place = named.groups()
    if form not in FORMS:
        hint = did_you_mean(form, FORMS)
        raise InputError(f"questions: unknown form '{form}' in '{source}'{hint} (forms: {', '.join(FORMS)})")
    return FORMS[form](place, limit)


def _with_qrels_beside(path: Path, questions: list[Question]) -> list[Question]:
    named = _QUERIES.fullmatch(path.name)
    qrels = path.parent / f"qrels.{named[1]}.tsv" if named else None
    return with_qrels(questions, read_qrels(qrels)) if qrels and qrels.is_file() else questions
