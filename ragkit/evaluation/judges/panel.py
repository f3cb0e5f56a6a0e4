"""A panel of language models that grade open answers from 1 to 5."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ragkit.engine.registry import judges
from ragkit.errors import RagkitError
from ragkit.evaluation.evidence import document_of
from ragkit.evaluation.judges.base import Judge, Judgement, NameOf, settled
from ragkit.evaluation.judges.grading import quoted_list
from ragkit.evaluation.judges.panel_report import panel_report
from ragkit.evaluation.judges.panel_scores import SCORES, Pool, as_share, expected_score, pooled, read_score
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question
from ragkit.models.base import LanguageModel, Prompt
from ragkit.prompts import prompt_setting, prompt_variables, quoted, render

PANEL_GIVEN = ("question", "answer", "answers", "passages")


@judges.register("panel")
class PanelJudge(Judge):
    """Several models grade each answer several times from 1 to 5; the figure is the mean of their means, from 0 to 1.

    With `mode: draws` each model is asked `draws` times at a temperature, since greedy draws are all the same. A reply
    has to begin with the score; one that does not is asked for once more and then is missing. With `mode: expected`
    each is asked once, and its score is the mean of 1 to 5 weighted by their probabilities. The report of the run has,
    on the scale of 1 to 5: scores by judge and with each judge left out, missing rates, Krippendorff's alpha between
    judges and between draws, the correlation with the length of answers, and intervals over documents.

    The judges see the passages that the reader was shown, and the gold answers if the prompt uses `answers`.

    Source: Chia et al. 2025, M-LongDoc, arXiv 2411.06176, section 3.3 (three judges, five draws); Liu et al. 2023
    (G-Eval), arXiv 2303.16634 (expected scores).
    """

    models: tuple[LanguageModel, ...] = Field(min_length=1, description="who grades")
    mode: Literal["draws", "expected"] = Field("draws", description="draws: sampled replies; expected: probabilities")
    draws: int = Field(5, ge=1, description="how often each model is asked, with mode draws")
    temperature: float = Field(1.0, ge=0, description="of the draws")
    pool: Pool = Field("judges", description="judges: the mean of the judges' means; draws: of all draws")
    seed: int = Field(0, ge=0, description="of the draws")
    prompt: Annotated[str, prompt_setting(*PANEL_GIVEN, needs=("question", "answer"))] = Field(
        "judge.panel", description="the rubric: a packaged prompt, or path of a .jinja file"
    )
    label: str = Field("Correctness", min_length=1, description="what stands before the score in a reply")
    max_new_tokens: int = Field(16, ge=1, description="the most tokens of a reply")

    @model_validator(mode="after")
    def _draws_differ(self) -> Self:
        if self.mode == "draws" and self.draws > 1 and self.temperature == 0:
            raise ValueError("several draws at temperature 0 are all the same: raise it, or set draws: 1")
        return self

    @property
    def grades(self) -> tuple[str, ...]:
        return SCORES

    def figures(self, name_of: NameOf) -> tuple[str, ...]:
        return ("", *map(name_of, self.models)) if len(self.models) > 1 else ("",)

    async def judge(self, question: Question, prediction: PredictionRow, name_of: NameOf) -> Judgement:
        wanted = self.figures(name_of)
        used = prompt_variables(self.prompt)
        known, value = settled(question, prediction, "answers" in used)
        if known:
            return Judgement(dict.fromkeys(wanted, value))
        prompt = self._prompt(question, prediction, used)
        given = await asyncio.gather(*(self._scores(model, prompt) for model in self.models))
        draws = {name_of(model): own for model, own in zip(self.models, given, strict=True)}
        score = pooled(draws, self.pool)
        found = {"": score.value} | score.by_judge
        values = {name: None if found[name] is None else as_share(found[name]) for name in wanted}  # type: ignore[arg-type]
        failures = {name: "no reply held a score" for name, value in values.items() if value is None}
        return Judgement(
            {name: value for name, value in values.items() if name not in failures},
            failures,
            {"score": score.value, "draws": draws, "missing": score.missing},
        )

    def _prompt(self, question: Question, prediction: PredictionRow, used: set[str]) -> Prompt:
        by_id = {passage["id"]: passage["text"] for passage in prediction["documents"]}
        if "passages" in used and (missing := [name for name in prediction["context"] if name not in by_id]):
            raise RagkitError(f"'{missing[0]}' was in the prompt, but the prediction does not hold its text")
        return render(
            self.prompt,
            question=quoted(question.question),
            answer=quoted(prediction["answer"] or ""),
            answers=quoted_list(question.answers),
            passages=quoted_list(by_id[name] for name in prediction["context"] if name in by_id),
        )

    async def _scores(self, model: LanguageModel, prompt: Prompt) -> list[float | None]:
        """Return the scores of a model's draws, None for a draw without one."""
        if self.mode == "expected":
            # A text goes on with a blank before the next word; the turn of a chat begins with the word.
            spelt = {f" {score}" if isinstance(prompt, str) else score: score for score in SCORES}
            choice = await model.choose(prompt, list(spelt))
            if choice.logprobs is None:
                raise RagkitError("the model tells no probabilities: use mode: draws")
            return [expected_score({score: choice.probability(text) for text, score in spelt.items()})]
        return list(await asyncio.gather(*(self._draw(model, prompt, number) for number in range(self.draws))))

    async def _draw(self, model: LanguageModel, prompt: Prompt, number: int) -> float | None:
        # The second attempt is a draw of its own: beyond all first ones. At temperature 0 it would be the same again.
        attempts = (number, self.draws + number) if self.temperature > 0 else (number,)
        for draw in attempts:
            generation = await model.generate(
                prompt,
                max_new_tokens=self.max_new_tokens,
                temperature=self.temperature,
                seed=self.seed,
                draw=draw,
            )
            score = read_score(generation.text, self.label)
            if score is not None:
                return float(score)
        return None

    def raters(self, judgements: Sequence[Judgement | None]) -> dict[str, list[str | None]]:
        """Return each model's mean score, rounded."""
        drawn = [judgement.details.get("draws", {}) if judgement else {} for judgement in judgements]
        names = dict.fromkeys(name for own in drawn for name in own)
        return {name: [_rounded(pooled({name: own.get(name, ())}).value) for own in drawn] for name in names}

    def report(
        self, questions: Sequence[Question], predictions: Sequence[PredictionRow], judgements: Sequence[Judgement]
    ) -> dict[str, Any]:
        judged = [
            (question, row, judgement.details["draws"])
            for question, row, judgement in zip(questions, predictions, judgements, strict=True)
            if "draws" in judgement.details
        ]
        return panel_report(
            [draws for _, _, draws in judged],
            [len((row["answer"] or "").split()) for _, row, _ in judged],
            [
                document_of(question.supporting_ids[0]) if question.supporting_ids else question.id
                for question, _, _ in judged
            ],
            self.pool,
        )


def _rounded(value: float | None) -> str | None:
    return None if value is None else str(int(value + 0.5))
