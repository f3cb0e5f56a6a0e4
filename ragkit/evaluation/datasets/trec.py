"""TREC's qrels and runs, read and written, and the tab-separated qrels of BEIR."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ragkit.engine.run_folder import replace_file
from ragkit.errors import InputError
from ragkit.evaluation.metrics.ranking import ranked_units
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question, relevant

Qrels = dict[str, dict[str, int]]
"""Query id to document id to grade."""

Run = dict[str, list[tuple[str, float]]]
"""Query id to document ids with scores, best first."""

_SHOWN = 10


def read_qrels(path: Path) -> Qrels:
    """Read qrels: `query iteration document grade` (TREC), or tab-separated `query document grade` (BEIR).

    A first line whose last column is no number is taken for the header of a tab-separated file.

    Raises:
        InputError: the file cannot be read, or has bad lines; the first of them are named.
    """
    qrels: Qrels = {}
    problems: list[str] = []
    for number, line in _lines(path):
        columns = line.split("\t") if "\t" in line else line.split()
        if len(columns) == 4:
            del columns[1]
        if number == 1 and len(columns) == 3 and not _is_number(columns[2]):
            continue
        if len(columns) != 3 or not _is_whole(columns[2]):
            problems.append(f"{path}:{number}: must be a query id, a document id and a whole number, not {line!r:.80}")
            continue
        query, document, grade = (column.strip() for column in columns)
        qrels.setdefault(query, {})[document] = int(float(grade))
    _refuse(problems)
    return qrels


def with_qrels(questions: Sequence[Question], qrels: Mapping[str, Mapping[str, int]]) -> list[Question]:
    """Return the questions with their grades; one without gold ids gets those graded above 0."""
    return [
        replace(
            question,
            relevance=dict(qrels[question.id]),
            supporting_ids=question.supporting_ids or relevant(qrels[question.id]),
        )
        if question.id in qrels
        else question
        for question in questions
    ]


def write_qrels(path: Path, questions: Iterable[Question]) -> None:
    """Write the gold of questions as TREC qrels: their grades, or 1 for each supporting id.

    Raises:
        InputError: an id holds white space, which the format has no place for.
    """
    lines = [
        f"{_word(question.id)} 0 {_word(document)} {grade}\n"
        for question in questions
        for document, grade in (question.relevance or dict.fromkeys(question.supporting_ids, 1)).items()
    ]
    replace_file(path, "".join(lines))


def read_run_file(path: Path) -> Run:
    """Read a TREC run (`query Q0 document rank score tag`), best first: by score, equal scores by rank.

    Raises:
        InputError: the file cannot be read, or has bad lines; the first of them are named.
    """
    found: dict[str, list[tuple[float, int, str]]] = {}
    problems: list[str] = []
    for number, line in _lines(path):
        columns = line.split()
        if len(columns) != 6 or not (_is_whole(columns[3]) and _is_number(columns[4])):
            problems.append(f"{path}:{number}: must be 'query Q0 document rank score tag', not {line!r:.80}")
            continue
        query, _, document, rank, score, _ = columns
        found.setdefault(query, []).append((-float(score), int(float(rank)), document))
    _refuse(problems)
    return {query: [(document, -score) for score, _, document in sorted(ranking)] for query, ranking in found.items()}


def write_run_file(
    path: Path, questions: Iterable[Question], predictions: Iterable[PredictionRow], tag: str = "ragkit"
) -> None:
    """Write the final rankings of a run as a TREC run; questions and predictions are in one order.

    Passages are mapped to the level of the question's gold ids (passages, pages or documents) as the ranking metrics
    do, so that trec_eval finds with the qrels of `write_qrels` what `metrics.json` says. Scores are 1 / rank: the
    passages' own may repeat, and trec_eval orders by score alone.

    Raises:
        InputError: an id or the tag holds white space, which the format has no place for.
    """
    lines: list[str] = []
    for question, prediction in zip(questions, predictions, strict=True):
        gold = question.relevance or question.supporting_ids
        passages = [] if prediction["error"] else prediction["documents"]
        ranking = ranked_units(passages, gold) if gold else [passage["id"] for passage in passages]
        lines += [
            f"{_word(question.id)} Q0 {_word(name)} {rank} {1 / rank:.9f} {_word(tag)}\n"
            for rank, name in enumerate(ranking, 1)
        ]
    replace_file(path, "".join(lines))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, line


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _is_whole(text: str) -> bool:
    return _is_number(text) and float(text).is_integer()


def _word(text: str) -> str:
    if len(text.split()) != 1:
        raise InputError(f"the id '{text}' holds white space, for which TREC's formats have no place")
    return text


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        more = [f"... and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        raise InputError("\n".join([*problems[:_SHOWN], *more]))
