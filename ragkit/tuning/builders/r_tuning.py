"""Rows that teach a reader to know what it does not know (R-Tuning)."""

import asyncio
import functools
import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from pydantic import Field

from ragkit.engine.cache import CallCache, project_cache
from ragkit.engine.registry import builders
from ragkit.engine.tasks import run_tasks
from ragkit.errors import RagkitError
from ragkit.evaluation.evidence import holds_answer
from ragkit.evaluation.split import Part
from ragkit.models.base import Prompt
from ragkit.pipeline import Pipeline
from ragkit.prompts import render
from ragkit.stages.answer import AnswerRead, split_markers
from ragkit.stages.certainty import SURE, UNSURE, AnswerCertainty
from ragkit.tuning.builders.reader import ABSENT, DrawnRow, ReaderBuilder, reader_of, readings
from ragkit.tuning.builders.stages import stage_with
from ragkit.tuning.data import BuildContext
from ragkit.tuning.rows import Row, SftRow

_TEMPERATURE = 0.7


@dataclass(frozen=True, slots=True)
class _Asked:
    """A reader's row, with what the model itself replied to its prompt."""

    drawn: DrawnRow
    replies: tuple[str, ...]

    @property
    def row(self) -> SftRow:
        return self.drawn.row

    @property
    def own(self) -> str:
        """The model's answer, without citations."""
        return split_markers(self.replies[0].strip().partition("\n")[0], len(self.drawn.passages))[0]


@builders.register("r_tuning")
class RTuningBuilder(ReaderBuilder):
    """Refusal-aware rows out of what the model, as it is when the training begins, gets right and wrong.

    The model answers the training questions, each with passages drawn as the reader's rows draw them. What it gets
    right with the passages that it needs is known, all else is not. Then, by `variant`:
      - `sure`: the reader's row, and one of the conversation going on: an answer, whether it is right, "sure" if it is
        known and "unsure" if not (R-Tuning). `shown` says which answer: the gold one, as in the paper, or the model's
        own, which is what stands there when the pipeline is used.
      - `refuse`: the reader's row, with the abstention in the place of the answer if it is not known (R-Tuning-R).
      - `entropy`: as `sure`, but known is the half whose `samples` sampled answers agree most; asks for no gold
        (R-Tuning-U).

    Source: Zhang et al. 2024, arXiv 2311.09677, sections 3.1 to 3.3. Passages in the prompt, and that right without
    evidence does not count as known, are ours.
    """

    makes: ClassVar[type[Row]] = SftRow

    variant: Literal["sure", "refuse", "entropy"] = Field("sure", description="sure | refuse | entropy")
    shown: Literal["gold", "own"] = Field("own", description="the answer that certainty is asked about")
    samples: int = Field(5, ge=2, description="answers per question of variant entropy")
    balance: bool = Field(True, description="as many sure as unsure rows, the surplus left out at random")

    def build(self, part: Part, context: BuildContext) -> Sequence[Row]:
        rows: list[Row] = []
        with project_cache() as cache:
            for opened in context.sets(part):
                stage = reader_of(opened.pipeline, context.model)
                copies = context.copies(self.copies, opened.name, part)
                drawn = [
                    row
                    for reading in readings(opened, context)
                    for row in self.draw(opened.name, reading, stage, context.seed, copies)
                ]
                asked = self._ask(drawn, stage, cache, context)
                rows += self._taught(asked, opened.pipeline, context)
        random.Random(context.seed).shuffle(rows)  # noqa: S311 - not for secrets
        return rows

    def _ask(
        self, drawn: Sequence[DrawnRow], stage: AnswerRead, cache: CallCache | None, context: BuildContext
    ) -> list[_Asked]:
        """Let the model answer the prompt of each row."""
        draws = self.samples if self.variant == "entropy" else 1
        tasks = [functools.partial(_replies, stage, each.row.prompt, draws) for each in drawn]
        outcomes = run_tasks(tasks, name="answers", cache=cache, on_progress=context.on_progress)
        for outcome, each in zip(outcomes, drawn, strict=True):
            if outcome.error is not None:
                raise RagkitError(f"question '{each.row.origin['question']}' could not be answered: {outcome.error}")
        return [_Asked(each, outcome.value) for each, outcome in zip(drawn, outcomes, strict=True)]

    def _taught(self, asked: Sequence[_Asked], pipeline: Pipeline, context: BuildContext) -> list[SftRow]:
        known = _most_certain_half(asked) if self.variant == "entropy" else [_knows(each) for each in asked]
        if self.variant == "refuse":
            stage = reader_of(pipeline, context.model)
            return [
                replace(each.row, completion=each.row.completion if knows else stage.abstain, origin=_told(each, knows))
                for each, knows in zip(asked, known, strict=True)
            ]
        certainty = stage_with(pipeline, AnswerCertainty, context.model)
        reports = [
            SftRow(
                prompt=self._question_of_certainty(each, answer, certainty),
                completion=SURE if knows else UNSURE,
                origin=_told(each, knows),
            )
            for each, knows in zip(asked, known, strict=True)
            if (answer := self._shown(each, certainty.abstain))
        ]
        if self.balance:
            reports = _balanced(reports, context.seed)
        return [*(each.row for each in asked), *reports]

    def _shown(self, each: _Asked, abstain: str) -> str:
        """Return the answer that certainty is asked about; an abstention is none."""
        answer = each.own if self.shown == "own" else each.drawn.reading.question.answers[0]
        return "" if answer.casefold() == abstain.casefold() else answer

    def _question_of_certainty(self, each: _Asked, answer: str, stage: AnswerCertainty) -> Prompt:
        return render(
            stage.prompt,
            question=each.drawn.reading.question.question,
            passages=each.drawn.passages,
            answer=answer,
            abstain=stage.abstain,
        )


async def _replies(stage: AnswerRead, prompt: Prompt, draws: int) -> tuple[str, ...]:
    """Return the greedy reply, or so many sampled ones."""
    warmth = _TEMPERATURE if draws > 1 else 0.0
    replies = [
        stage.model.generate(prompt, max_new_tokens=stage.max_new_tokens, temperature=warmth, draw=draw)
        for draw in range(draws)
    ]
    return tuple(generation.text for generation in await asyncio.gather(*replies))


def _knows(each: _Asked) -> bool:
    """Say whether an answer is right and stands on the passages that it needs."""
    return each.row.origin["kind"] != ABSENT and holds_answer([each.own], each.drawn.reading.question.answers)


def _most_certain_half(asked: Sequence[_Asked]) -> list[bool]:
    """Return True for the half of the questions whose sampled answers have the lower entropy."""
    entropies = [_entropy(each.replies) for each in asked]
    order = sorted(range(len(asked)), key=entropies.__getitem__)
    half = set(order[: len(order) // 2])
    return [position in half for position in range(len(asked))]


def _entropy(replies: Sequence[str]) -> float:
    """Return the entropy of answers that are equal but for case and spacing, in nats."""
    counts = Counter(" ".join(reply.casefold().split()) for reply in replies)
    return -sum(n / len(replies) * math.log(n / len(replies)) for n in counts.values())


def _balanced(rows: Sequence[SftRow], seed: int) -> list[SftRow]:
    draw = random.Random(seed)  # noqa: S311 - not for secrets
    groups = [[row for row in rows if row.completion == completion] for completion in (SURE, UNSURE)]
    fewest = min(map(len, groups))
    return [row for group in groups for row in draw.sample(group, fewest)]


def _told(each: _Asked, knows: bool) -> dict[str, Any]:
    return each.row.origin | {"kind": f"{each.row.origin['kind']}, {'known' if knows else 'unknown'}"}
