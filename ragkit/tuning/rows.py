"""Training rows: what data builders hand over to objectives, and how they are kept on disk."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ragkit.engine.jsonl import dump_line
from ragkit.engine.run_folder import replace_file
from ragkit.models.base import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One training row.

    Attributes:
        origin: where it is from: `set`, `question` (its id), and whatever else says why the row is as it is.
    """

    origin: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SftRow(Row):
    """A prompt, exactly as the pipeline's stage renders it, and the completion to learn."""

    prompt: Prompt
    completion: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPicture:
    """A picture of a row's prompt: a page of a PDF or a part of it, and to how many pixels it is shrunk.

    Attributes:
        file: where the picture is kept, or will be.
        box: in points on the page; None for the whole page.
    """

    file: str
    pdf: str
    page: int
    box: tuple[float, float, float, float] | None
    dpi: int
    side: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRow(SftRow):
    """A prompt with pictures, each of which has its slot in the prompt, and the completion to learn."""

    pictures: tuple[RowPicture, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferenceRow(Row):
    """A prompt with a completion that is preferred to another one."""

    prompt: Prompt
    chosen: str
    rejected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRow(Row):
    """A prompt to generate from, and what rewards need to judge the completion (`answers`, `passages` ...)."""

    prompt: Prompt
    columns: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingRow(Row):
    """A query with texts to rank.

    Attributes:
        positives: relevant texts.
        negatives: texts that are not, the hardest ones first.
        scores: a teacher's score of each positive and then of each negative; None without a teacher.
    """

    query: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...] = ()
    scores: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRow(Row):
    """A step of an agent's run that ended well, to be shown in prompts.

    Attributes:
        question: the run's.
        trajectory: what the agent saw.
        completion: what it wrote.
    """

    question: str
    trajectory: str
    completion: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRow(Row):
    """A question to send an agent on its way with, and what its way is judged by.

    Attributes:
        gold: ids of its gold passages.
        tau: the recall that a way has to reach to count as found; None for the objective's own.
    """

    id: str
    question: str
    gold: tuple[str, ...]
    tau: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRow(Row):
    """A question with passages, of which some are evidence for its answer.

    Attributes:
        question: as the filter is asked about it.
        passages: title (may be empty) and text of each.
        evidence: for each whether it is.
    """

    question: str
    passages: tuple[tuple[str, str], ...]
    evidence: tuple[bool, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRow(Row):
    """A text, or a pair of texts, with its label.

    Attributes:
        text: the text, or the premise.
        statement: the hypothesis; empty where a text is labelled by itself.
    """

    text: str
    statement: str = ""
    label: str


def write_rows(path: Path, rows: Iterable[Row]) -> str:
    """Write rows as JSON Lines, in one step, and return the SHA-256 of the file."""
    text = b"".join(dump_line(asdict(row)) for row in rows)
    replace_file(path, text)
    return hashlib.sha256(text).hexdigest()


def count_by(rows: Sequence[Row], key: str) -> dict[str, int]:
    """Return how many rows have each value of an `origin` key, the most frequent first."""
    counts: dict[str, int] = {}
    for row in rows:
        value = str(row.origin.get(key, ""))
        counts[value] = counts.get(value, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
