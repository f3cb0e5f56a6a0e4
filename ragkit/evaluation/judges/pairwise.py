"""Which of two answers is better? Asked twice, with the answers in either order."""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import Field

from ragkit.engine.registry import judges
from ragkit.engine.run_folder import PREDICTIONS, read_lines
from ragkit.errors import InputError, RagkitError
from ragkit.evaluation.judges.base import Judge, Judgement, NameOf
from ragkit.evaluation.judges.grading import Mode, ask, quoted_list
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question
from ragkit.models.base import LanguageModel
from ragkit.prompts import prompt_setting, quoted

PREFERENCES = ("A", "B", "tie")
_VALUES = {"first": 1.0, "tie": 0.5, "second": 0.0}
INCONSISTENT = "inconsistent"


async def prefer(
    model: LanguageModel,
    question: Question,
    first: str,
    second: str,
    *,
    prompt: str = "judge.pairwise",
    mode: Mode = "reply",
    max_new_tokens: int = 200,
) -> tuple[Literal["first", "second", "tie"], bool]:
    """Return which of two answers a model prefers, and whether it said the same in both orders; if not, it is a tie.

    Source: Zheng et al. 2023, arXiv 2306.05685, section 3.4 (position bias, conservative swap).

    Raises:
        RagkitError: a reply broke its schema, or the model tells no probabilities.
    """

    async def winner(a: str, b: str) -> str:
        texts = {"question": quoted(question.question), "answers": quoted_list(question.answers)}
        graded = await ask(
            model, prompt, PREFERENCES, mode, max_new_tokens, answer_a=quoted(a), answer_b=quoted(b), **texts
        )
        return graded.label

    as_given, swapped = await asyncio.gather(winner(first, second), winner(second, first))
    if {as_given, swapped} == {"tie"}:
        return "tie", True
    if (as_given, swapped) == ("A", "B"):
        return "first", True
    if (as_given, swapped) == ("B", "A"):
        return "second", True
    return "tie", False


@judges.register("pairwise")
class PairwiseJudge(Judge):
    """Language models compare each answer with that of another run: 1 if it is better, 0.5 for a tie, 0 if it is worse.

    Each pair is shown in both orders. A preference that changes with the order is a tie, and the figure `inconsistent`
    is the share of these. A failed question loses against one that did not fail. With several models the value is the
    mean, for the questions that all of them compared.
    """

    models: tuple[LanguageModel, ...] = Field(min_length=1, description="who compares")
    against: str = Field(description="folder of the other run")
    prompt: Annotated[str, prompt_setting("question", "answers", "answer_a", "answer_b", "grades", "mode")] = Field(
        "judge.pairwise", description="a packaged prompt, or path of a .jinja file"
    )
    mode: Mode = Field("reply", description="'reply': a reason and a verdict as JSON; 'choose': the likeliest verdict")
    max_new_tokens: int = Field(200, ge=1, description="the most tokens of a reply")

    def figures(self, name_of: NameOf) -> tuple[str, ...]:
        return ("", INCONSISTENT)

    def prepare(self, questions: Sequence[Question]) -> None:
        other = self._other()
        if missing := [question.id for question in questions if question.id not in other]:
            raise InputError(
                f"against {self.against}: {len(missing)} of the questions have no prediction there, "
                f"the first is '{missing[0]}'"
            )

    def _other(self) -> dict[str, PredictionRow]:
        path = Path(self.against) / PREDICTIONS
        if not path.is_file():
            raise InputError(f"{path}: no such file; 'against' is the folder of a run")
        return _predictions(path, path.stat().st_mtime_ns)

    async def judge(self, question: Question, prediction: PredictionRow, name_of: NameOf) -> Judgement:
        other = self._other().get(question.id)
        if other is None:
            raise RagkitError(f"{self.against} has no prediction for question '{question.id}'")
        if prediction["error"] or other["error"]:
            return Judgement({"": 0.5 if prediction["error"] and other["error"] else float(other["error"] is not None)})
        first, second = (row["answer"] or "(no answer)" for row in (prediction, other))
        if first == second:
            return Judgement({"": 0.5, INCONSISTENT: 0.0})
        options: dict[str, Any] = {"prompt": self.prompt, "mode": self.mode, "max_new_tokens": self.max_new_tokens}
        found = await asyncio.gather(*(prefer(model, question, first, second, **options) for model in self.models))
        return Judgement(
            {
                "": sum(_VALUES[preference] for preference, _ in found) / len(found),
                INCONSISTENT: sum(not consistent for _, consistent in found) / len(found),
            },
            details={
                name_of(model): {"prefers": preference, "consistent": consistent}
                for model, (preference, consistent) in zip(self.models, found, strict=True)
            },
        )


@lru_cache(maxsize=8)
def _predictions(path: Path, written: int) -> dict[str, PredictionRow]:
    """Return the predictions of a file by question; `written`, when it was, keeps them from growing old."""
    return {row["id"]: cast("PredictionRow", row) for row in read_lines(path)}
