"""Read questions with their gold answers and gold passages."""

import codecs
import difflib
import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from ragkit.config.messages import explain
from ragkit.errors import InputError

SHOWN_PROBLEMS = 20

L = TypeVar("L")

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


@dataclass(frozen=True)
class Question:
    """A question and what a right answer to it is.

    Attributes:
        id: unique within its file.
        question: the text that the pipeline gets.
        answers: gold answers, any of which is right; empty where the set has none (retrieval collections).
        supporting_ids: ids of the gold passages, pages (`<document>#p<n>`, from 1) or documents.
        type: the set's own kind of question (`bridge`, `table` ...), or an empty string.
        answerable: False when the right thing is to abstain; `answers` then hold at most a remark.
        extra: the row's further fields.
        relevance: graded relevance by id, where the set has it (qrels); 0 or less is judged not relevant.
        vars: variables that the question's state starts with, such as a filter for `where`; never gold.
    """

    id: str
    question: str
    answers: tuple[str, ...] = ()
    supporting_ids: tuple[str, ...] = ()
    type: str = ""
    answerable: bool = True
    extra: dict[str, Any] = field(default_factory=dict)
    relevance: dict[str, int] = field(default_factory=dict)
    vars: dict[str, Any] = field(default_factory=dict)


class _Row(BaseModel):
    """One line of a questions file, as it is checked."""

    model_config = ConfigDict(extra="allow", strict=True)

    id: Text | None = None
    question: Text
    answers: list[str] = []
    supporting_ids: list[Text] = []
    type: str = ""
    answerable: bool = True
    relevance: dict[Text, int] = {}
    vars: dict[str, Any] = {}


def read_questions(path: str | Path, limit: int | None = None) -> list[Question]:
    """Read questions from a `.jsonl` or `.jsonl.gz` file, one JSON object a line; blank lines are skipped.

    A row needs `question`; it may have `id`, `answers`, `supporting_ids`, `type`, `answerable`, `relevance` (a mapping
    of ids to grades; without `supporting_ids`, those graded above 0 are the gold ones), `vars` and any further fields.
    A row without an id gets `q<line number>` (from 1), which stays the same as long as the file does.

    Args:
        path: the file.
        limit: read only the first `limit` questions; lines after them are not looked at.

    Raises:
        InputError: the file cannot be read, holds no question, or has bad lines; then all of them are named.
    """
    path = Path(path)
    if limit is not None and limit < 1:
        raise InputError(f"limit must be at least 1, not {limit}")
    return collect(path, numbered_lines(path), lambda line, number: question_of(parse_json(line), number), limit)


def collect(
    path: Path, lines: Iterable[tuple[int, L]], read: Callable[[L, int], Question], limit: int | None = None
) -> list[Question]:
    """Return the questions of numbered lines (or rows).

    Args:
        path: what messages call the file.
        lines: with their numbers, from 1.
        read: makes a question of a line and its number; raises ValueError if the line is bad.
        limit: stop after so many questions.

    Raises:
        InputError: there is no question, or there are bad lines, or two of one id; then all of them are named.
    """
    questions: dict[str, Question] = {}
    numbers: dict[str, int] = {}
    problems: list[str] = []
    for number, line in lines:
        try:
            question = read(line, number)
            if question.id in numbers:
                raise ValueError(f"id '{question.id}' was used before, in line {numbers[question.id]}")
        except (ValueError, RecursionError) as error:
            problems.append(f"{path}:{number}: {describe_problem(error)}")
            continue
        questions[question.id] = question
        numbers[question.id] = number
        if len(questions) == limit:
            break
    if problems:
        raise InputError(_list_problems(problems))
    if not questions:
        raise InputError(f"{path}: the file holds no questions")
    return list(questions.values())


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a `.jsonl` or `.jsonl.gz` file that are not blank, with their numbers from 1.

    Raises:
        InputError: the file cannot be read or is named otherwise.
    """
    if not path.name.endswith((".jsonl", ".jsonl.gz")):
        raise InputError(f"{path}: a questions file is named *.jsonl or *.jsonl.gz")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if content := line.removeprefix(codecs.BOM_UTF8 if number == 1 else b"").strip():
                    yield number, content
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def parse_json(line: bytes) -> Any:
    """Return the JSON value of a line; a ValueError or RecursionError says that it holds none."""
    return json.loads(line.decode("utf-8"))


def question_of(row: Any, number: int) -> Question:
    """Return the question of a row; `number` names it if it has no id.

    Raises:
        ValueError: the row is not of the form that `read_questions` describes.
    """
    if not isinstance(row, dict):
        raise ValueError(f"a question is one JSON object, not {type(row).__name__}")
    json.dumps(row, ensure_ascii=False).encode("utf-8")  # refuses lone surrogates, which no output file could hold
    checked = _Row.model_validate(row)
    for key in ("answers", "supporting_ids", "answerable", "relevance"):
        if key not in row and (close := difflib.get_close_matches(key, row, n=1, cutoff=0.8)):
            raise ValueError(f"unknown key '{close[0]}', did you mean '{key}'?")
    return Question(
        id=checked.id or f"q{number}",
        question=checked.question,
        answers=tuple(checked.answers),
        supporting_ids=tuple(checked.supporting_ids) or relevant(checked.relevance),
        type=checked.type,
        answerable=checked.answerable,
        extra=checked.model_extra or {},
        relevance=checked.relevance,
        vars=checked.vars,
    )


def relevant(relevance: Mapping[str, int]) -> tuple[str, ...]:
    """Return the ids that are graded above 0, the highest grades first."""
    return tuple(sorted((name for name, grade in relevance.items() if grade > 0), key=lambda name: -relevance[name]))


def describe_problem(error: Exception) -> str:
    """Return what is wrong with a row, for a message."""
    if isinstance(error, ValidationError):
        return "; ".join(_explain(problem) for problem in error.errors())
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON: {error.msg} (column {error.colno})"
    if isinstance(error, UnicodeDecodeError | UnicodeEncodeError):
        return f"not valid Unicode text: {error.reason}"
    if isinstance(error, RecursionError):
        return "not usable JSON: nested too deeply"
    return str(error)


def _explain(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"missing key '{key}'"
    return f"'{key}': {explain(problem['type'], problem['input'], problem.get('ctx', {}), problem['msg'])}"


def _list_problems(problems: list[str]) -> str:
    shown = problems[:SHOWN_PROBLEMS]
    if len(problems) > len(shown):
        shown.append(f"... and {len(problems) - len(shown)} more")
    count = "1 bad line" if len(problems) == 1 else f"{len(problems)} bad lines"
    return "\n".join([f"{count} in the questions file:", *shown])
