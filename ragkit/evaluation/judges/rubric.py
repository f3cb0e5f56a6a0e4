"""Language models that grade answers by a rubric."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from ragkit.engine.registry import judges
from ragkit.errors import RagkitError
from ragkit.evaluation.judges.base import Judge, Judgement, NameOf, settled
from ragkit.evaluation.judges.grading import Grade, Mode, ask, quoted_list
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question
from ragkit.models.base import LanguageModel
from ragkit.prompts import prompt_setting, prompt_variables, quoted

_SCALES: dict[str, tuple[str, ...]] = {
    "pass_fail": ("fail", "pass"),
    "full_partial_wrong": ("wrong", "partial", "full"),
    "1-5": ("1", "2", "3", "4", "5"),
    "0-5": ("0", "1", "2", "3", "4", "5"),
}
GIVEN = ("question", "answer", "answers", "passages", "grades", "mode")


@judges.register("rubric")
class RubricJudge(Judge):
    """Language models grade the answer; grades become values from 0 to 1, equally spaced.

    The rubric is the prompt. One that uses `answers` compares with the gold answers; one that does not is about the
    question, the answer and the `passages` that the reader saw. With several models, each has a figure of its own and
    the judge's figure is their mean, for the questions that all of them graded.

    Source: Zheng et al. 2023 (LLM-as-a-judge), arXiv 2306.05685; Liu et al. 2023 (G-Eval), arXiv 2303.16634.
    """

    models: tuple[LanguageModel, ...] = Field(min_length=1, description="who grades")
    prompt: Annotated[str, prompt_setting(*GIVEN)] = Field(
        "judge.correctness", description="the rubric: a packaged prompt, or path of a .jinja file"
    )
    scale: Literal["pass_fail", "full_partial_wrong", "1-5", "0-5"] = Field("1-5", description="the grades")
    mode: Mode = Field(
        "reply", description="'reply': a reason and a grade as JSON; 'choose': expected grade by log-probabilities"
    )
    max_new_tokens: int = Field(200, ge=1, description="the most tokens of a reply")

    @property
    def grades(self) -> tuple[str, ...]:
        return _SCALES[self.scale]

    def figures(self, name_of: NameOf) -> tuple[str, ...]:
        return ("", *map(name_of, self.models)) if len(self.models) > 1 else ("",)

    async def judge(self, question: Question, prediction: PredictionRow, name_of: NameOf) -> Judgement:
        used = prompt_variables(self.prompt)
        known, value = settled(question, prediction, "answers" in used)
        if known:
            return Judgement(dict.fromkeys(self.figures(name_of), value))
        by_id = {passage["id"]: passage["text"] for passage in prediction["documents"]}
        if "passages" in used and (missing := [name for name in prediction["context"] if name not in by_id]):
            raise RagkitError(f"'{missing[0]}' was in the prompt, but the prediction does not hold its text")
        texts = {
            "question": quoted(question.question),
            "answer": quoted(prediction["answer"] or ""),
            "answers": quoted_list(question.answers),
            "passages": quoted_list(by_id[name] for name in prediction["context"] if name in by_id),
        }
        asked = (ask(m, self.prompt, self.grades, self.mode, self.max_new_tokens, **texts) for m in self.models)
        graded = await asyncio.gather(*asked, return_exceptions=True)
        scores: dict[str, float | None] = {}
        failures: dict[str, str] = {}
        details = {}
        for model, grade in zip(self.models, graded, strict=True):
            name = name_of(model)
            if isinstance(grade, Grade):
                scores[name] = grade.expected(self._values)
                details[name] = {"grade": grade.label, "value": scores[name], "reason": grade.reason}
            elif isinstance(grade, Exception):
                failures[name] = f"{type(grade).__name__}: {grade}"
            else:
                raise grade
        if failures:
            failures[""] = "; ".join(f"{name}: {failure}" for name, failure in failures.items())
        else:
            scores[""] = sum(value for value in scores.values() if value is not None) / len(scores)
        wanted = self.figures(name_of)
        return Judgement(
            {name: value for name, value in scores.items() if name in wanted},
            {name: failure for name, failure in failures.items() if name in wanted},
            details,
        )

    @property
    def _values(self) -> dict[str, float]:
        return {grade: rank / (len(self.grades) - 1) for rank, grade in enumerate(self.grades)}

    def raters(self, judgements: Sequence[Judgement | None]) -> dict[str, list[str | None]]:
        details = [judgement.details if judgement else {} for judgement in judgements]
        names = dict.fromkeys(name for detail in details for name in detail)
        return {name: [detail.get(name, {}).get("grade") for detail in details] for name in names}
