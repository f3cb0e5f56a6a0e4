"""One split of questions for everything that is tuned, so that nothing is ever reported on what it was trained on."""

import hashlib
from collections.abc import Iterable
from typing import Literal

from ragkit.evaluation.evidence import document_of
from ragkit.evaluation.questions import Question

Part = Literal["train", "validation", "test"]
SplitBy = Literal["question", "document"]

_TEST, _VALIDATION = 20, 30
_GROUP = "group"


def part_of(question_id: str) -> Part:
    """Return the part of a question: by its id alone, so it is the same in every recipe and every version of a file.

    20 % are `test`, 10 % `validation`, the rest `train`.
    """
    bucket = int.from_bytes(hashlib.sha256(question_id.encode()).digest()[:8]) % 100
    return "test" if bucket < _TEST else "validation" if bucket < _VALIDATION else "train"


def in_part(questions: Iterable[Question], part: Part, by: SplitBy = "question") -> list[Question]:
    """Return the questions of a part, in their order.

    Questions whose rows have one `group` (a claim and what was turned into its opposite, say) stay together.

    Args:
        questions: the questions.
        part: which.
        by: the id that decides: the question's own (or its group's), or that of the documents of its gold evidence. A
            question whose documents are in different parts is in none; one without gold evidence goes by its own id.
    """
    return [question for question in questions if _parts(question, by) == {part}]


def _parts(question: Question, by: SplitBy) -> set[Part]:
    documents = {document_of(gold) for gold in question.supporting_ids} if by == "document" else set()
    return {part_of(name) for name in documents or {str(question.extra.get(_GROUP) or question.id)}}
