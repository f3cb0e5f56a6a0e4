"""A language model writes a rubric for each question, and marks the answer by it."""

import asyncio
import json
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from ragkit.engine.registry import judges
from ragkit.errors import RagkitError, ReplyError
from ragkit.evaluation.judges.base import Judge, Judgement, NameOf, settled
from ragkit.evaluation.judges.grading import Mode, ask, quoted_list
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question
from ragkit.models.base import LanguageModel
from ragkit.prompts import prompt_setting, quoted, render

_GRADES = ("no", "yes")
_CRITERION_CHARACTERS = 200


@judges.register("guideline")
class GuidelineJudge(Judge):
    """The share of the criteria of the question's own rubric that the answer meets.

    The rubric is a list of criteria that the model writes from the question and its gold answers, before it sees any
    answer; so answers of different runs are marked by the same rubric, and the call cache keeps it. Each criterion is
    then marked by itself. The details hold the rubric with what was met.

    Source: Balaguer et al. 2024, RAG vs Fine-tuning, arXiv 2401.08406, the guideline evaluation of section 5.
    """

    model: LanguageModel = Field(description="who writes the rubrics and marks the answers")
    criteria: int = Field(4, ge=1, le=20, description="the most criteria of a rubric")
    rubric: Annotated[str, prompt_setting("question", "answers", "criteria")] = Field(
        "judge.guideline", description="what asks for a rubric: a packaged prompt, or path of a .jinja file"
    )
    prompt: Annotated[str, prompt_setting("question", "answer", "criterion", "grades", "mode")] = Field(
        "judge.criterion", description="what asks whether a criterion is met"
    )
    mode: Mode = Field("reply", description="'reply': a reason and a mark as JSON; 'choose': the probability of yes")
    max_new_tokens: int = Field(400, ge=1, description="the most tokens of a rubric or a reply")

    def figures(self, name_of: NameOf) -> tuple[str, ...]:
        return ("",)

    async def judge(self, question: Question, prediction: PredictionRow, name_of: NameOf) -> Judgement:
        known, value = settled(question, prediction, needs_gold=True)
        if known:
            return Judgement({"": value})
        criteria = await self._rubric(question)
        texts = {"question": quoted(question.question), "answer": quoted(prediction["answer"] or "")}
        marks = await asyncio.gather(
            *(
                ask(self.model, self.prompt, _GRADES, self.mode, self.max_new_tokens, criterion=quoted(item), **texts)
                for item in criteria
            )
        )
        met = [mark.expected({"no": 0.0, "yes": 1.0}) for mark in marks]
        rows = [
            {"criterion": item, "met": value, "reason": mark.reason}
            for item, value, mark in zip(criteria, met, marks, strict=True)
        ]
        return Judgement({"": sum(met) / len(met)}, details={"criteria": rows})

    async def _rubric(self, question: Question) -> list[str]:
        """Return the criteria for answers to a question, each once."""
        prompt = render(
            self.rubric,
            question=quoted(question.question),
            answers=quoted_list(question.answers),
            criteria=self.criteria,
        )
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {
                "criteria": {
                    "type": "array",
                    "items": {"type": "string", "minLength": 3, "maxLength": _CRITERION_CHARACTERS},
                    "minItems": 1,
                    "maxItems": self.criteria,
                }
            },
            "required": ["criteria"],
            "additionalProperties": False,
        }
        generation = await self.model.generate(prompt, max_new_tokens=self.max_new_tokens, schema=schema)
        return _read(generation.text)


def _read(text: str) -> list[str]:
    """Return the criteria of a reply, whatever model wrote it: not every one sees to the schema."""
    try:
        reply = json.loads(text)
    except ValueError:
        reply = None
    found: Sequence[Any] = reply.get("criteria") if isinstance(reply, dict) else None  # type: ignore[assignment]
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise RagkitError(f"the reply is no list of criteria: {text[:200]!r}")
    criteria = list(dict.fromkeys(stripped for item in found if (stripped := item.strip())))
    if not criteria:
        raise ReplyError(f"the reply holds no criterion: {text[:200]!r}")
    return criteria
