"""Which wording of a question a stage works with, after a rewriter has clarified it."""

from collections.abc import Sequence
from typing import Literal

Wording = Literal["original", "rewritten"]


def worded(question: str, questions: Sequence[str] | None, wording: Wording) -> str:
    """Return the question as it was asked, or the clarified ones (`vars.questions`) joined by a blank.

    Where nothing has rewritten it, that is the question itself.

    Source: Shi et al. 2024 (ERM4), arXiv 2407.10670: filter and reader get the rewritten questions as one text.
    """
    return " ".join(questions) if wording == "rewritten" and questions else question
