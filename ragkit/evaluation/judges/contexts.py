"""How many of the passages in the reader's prompt help to answer? Precision of the retrieval, as a model sees it."""

import asyncio
from typing import Annotated, Literal

from pydantic import Field

from ragkit.engine.registry import judges
from ragkit.errors import RagkitError
from ragkit.evaluation.judges.base import Judge, Judgement, NameOf
from ragkit.evaluation.judges.grading import Mode, ask
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question
from ragkit.models.base import LanguageModel
from ragkit.prompts import prompt_setting, quoted, render

_GRADES = ("false", "true")


@judges.register("context_precision")
class ContextPrecision(Judge):
    """The share of the passages in the prompt that a model says help to answer.

    A question without passages scores 0, and so does a failed one: who drops everything has found nothing. With
    `empty: skip` they have no value, as in the tables of the paper, which so reward dropping. Either way it is a mean
    over what was handed on: three of three beat three of ten.

    Source: LeVine and Varjavand 2025, arXiv 2504.07104 (Retrieval Precision); tonic_validate.
    """

    model: LanguageModel
    empty: Literal["zero", "skip"] = Field("zero", description="what a question without passages counts")
    prompt: Annotated[str, prompt_setting("question", "passage", "grades", "mode")] = Field(
        "judge.context", description="a packaged prompt, or path of a .jinja file"
    )
    mode: Mode = Field("choose", description="'reply': a reason and a verdict as JSON; 'choose': the likelier verdict")
    max_new_tokens: int = Field(200, ge=1, description="the most tokens of a reply")

    def figures(self, name_of: NameOf) -> tuple[str, ...]:
        return ("",)

    async def judge(self, question: Question, prediction: PredictionRow, name_of: NameOf) -> Judgement:
        shown = [] if prediction["error"] else prediction["context"]
        if not shown:
            return Judgement({"": 0.0 if self.empty == "zero" else None})
        texts = {passage["id"]: passage["text"] for passage in prediction["documents"]}
        if missing := [name for name in shown if name not in texts]:
            raise RagkitError(f"'{missing[0]}' was in the prompt, but the prediction does not hold its text")
        helps = await asyncio.gather(*(self._helps(question.question, texts[name]) for name in shown))
        return Judgement({"": sum(helps) / len(helps)}, details={"helps": dict(zip(shown, helps, strict=True))})

    async def _helps(self, question: str, text: str) -> bool:
        given = {"question": quoted(question), "passage": quoted(text)}
        if self.mode == "reply":
            grade = await ask(self.model, self.prompt, _GRADES, self.mode, self.max_new_tokens, **given)
            return grade.label == _GRADES[1]
        prompt = render(self.prompt, grades=list(_GRADES), mode=self.mode, **given)
        # A text goes on with a blank before the next word. What the model chooses will do, also if it tells no more.
        spelt = [f" {grade}" for grade in _GRADES] if isinstance(prompt, str) else list(_GRADES)
        return (await self.model.choose(prompt, spelt)).label == spelt[1]
