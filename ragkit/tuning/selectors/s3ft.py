"""Train on the model's own words where they are right: it then forgets less of what it could do before."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Literal

from pydantic import Field

from ragkit.engine.registry import metrics, selectors
from ragkit.errors import InputError
from ragkit.evaluation.marked import MarkedText
from ragkit.evaluation.metrics.answers import NormalisedMetric
from ragkit.models.base import LanguageModel
from ragkit.models.scripted import prompt_text
from ragkit.prompts import prompt_setting, render
from ragkit.tuning.calls import run_cached
from ragkit.tuning.data import BuildContext, Selected, Selector
from ragkit.tuning.rows import Row, SftRow

OWN, PARAPHRASE, GOLD, FAILED = "own answer", "paraphrase", "gold answer", "gold answer, the model failed"


@selectors.register("s3ft")
class SelfSupervised(Selector):
    """Keep the model's own answer where it is right, its paraphrase of the gold one where that is, else the gold one.

    Answers are compared without citation markers. Ours: an own answer or paraphrase that cites anything else than the
    gold one takes over the gold one's citations, so that what is learnt about citing is right too.

    Source: Gupta et al. 2025 (S3FT), arXiv 2502.08130. The paper lets the model itself judge what is equivalent.
    """

    model: LanguageModel = Field(description="the model that is tuned, as it is before the training")
    equivalence: Literal["em", "f1"] = Field("em", description="when two answers are the same")
    threshold: float = Field(0.8, gt=0, le=1, description="f1 from which they are")
    prompt: Annotated[str, prompt_setting("task", "answer")] = Field(
        "tune.paraphrase", description="how it is asked for a paraphrase"
    )
    max_new_tokens: int = Field(64, ge=1, description="the most tokens of an answer")

    def select(self, rows: Sequence[Row], context: BuildContext) -> Selected:
        taught = [row for row in rows if isinstance(row, SftRow)]
        if len(taught) < len(rows):
            raise InputError("s3ft: selects among rows with a completion (sft), not among pairs or prompts")
        outcomes = run_cached([partial(self._choose, row) for row in taught], "own answers", context)
        reasons = dict.fromkeys((OWN, PARAPHRASE, GOLD, FAILED), 0)
        chosen = []
        for row, outcome in zip(taught, outcomes, strict=True):
            completion, reason = (row.completion, FAILED) if outcome.error is not None else outcome.value
            reasons[reason] += 1
            chosen.append(replace(row, completion=completion, origin=row.origin | {"s3ft": reason}))
        return Selected(chosen, {reason: count for reason, count in reasons.items() if count})

    async def _choose(self, row: SftRow) -> tuple[str, str]:
        """Return the completion to learn and what it is."""
        gold = MarkedText.parse(row.completion)
        task = render(self.prompt, task=prompt_text(row.prompt), answer=gold.plain.strip())
        for prompt, reason in ((row.prompt, OWN), (task, PARAPHRASE)):
            stop = ["\n"] if isinstance(prompt, str) else []
            generation = await self.model.generate(prompt, max_new_tokens=self.max_new_tokens, stop=stop)
            answer = MarkedText.parse(generation.text.strip())
            if self._equivalent(answer.plain, gold.plain):
                return str(with_citations_of(gold, answer)), reason
        return row.completion, GOLD

    def _equivalent(self, answer: str, gold: str) -> bool:
        metric: NormalisedMetric = metrics[self.equivalence]()
        return bool(answer.strip()) and (metric.best(answer, [gold]) or 0.0) >= (
            1.0 if self.equivalence == "em" else self.threshold
        )


def with_citations_of(gold: MarkedText, answer: MarkedText) -> MarkedText:
    """Return an answer that cites what the gold answer cites: as it is, or all of that behind its last sentence."""
    wanted = [number for mark in gold.marks for number in mark.numbers]
    if set(wanted) == {number for mark in answer.marks for number in mark.numbers}:
        return answer
    bare = replace(answer, marks=())
    return bare.cite(bare.sentences()[-1], list(dict.fromkeys(wanted)))
