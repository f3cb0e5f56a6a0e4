"""Rows that teach a reader: short cited answers from passages, and to abstain where the passages do not help."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from ragkit.engine.registry import builders
from ragkit.engine.run import Asked
from ragkit.engine.state import Documents, Passage
from ragkit.errors import InputError
from ragkit.evaluation.evidence import Evidence, holds_answer
from ragkit.evaluation.question_sets import ranking_only
from ragkit.evaluation.questions import Question
from ragkit.evaluation.split import Part
from ragkit.pipeline import Pipeline
from ragkit.prompts import render
from ragkit.stages.answer import AnswerRead, containing
from ragkit.tuning.builders.stages import stage_with
from ragkit.tuning.data import BuildContext, Copies, DataBuilder, TuningSet
from ragkit.tuning.rows import Row, SftRow

GOLD, MIXED, ABSENT = "gold", "mixed", "absent"


class Reading:
    """A question with its gold passages and the hardest distractors, for rows that are made of both.

    Attributes:
        gold: its gold passages in the index.
        distractors: passages that the pipeline itself finds, best first, which are not gold and do not hold the answer.
    """

    def __init__(self, question: Question, gold: Sequence[Passage], found: Documents) -> None:
        self.question = question
        self.gold = tuple(gold)
        ids = {passage.id for passage in gold}
        texts = {passage.page_content for passage in gold}
        self.distractors = tuple(
            passage
            for passage in found
            if passage.id not in ids
            and passage.page_content not in texts
            and not holds_answer([passage.page_content], question.answers)
        )


def readings(opened: TuningSet, context: BuildContext) -> Iterator[Reading]:
    """Yield the answerable questions of a set whose gold passages are in the index, with what the pipeline finds.

    Raises:
        InputError: the index cannot be looked into.
    """
    questions = [question for question in opened.questions if question.answers and question.answerable]
    evidence = Evidence.of(opened.pipeline.index)
    if evidence is None:
        raise InputError(f"set '{opened.name}': gold passages are looked up in an index of type 'local'")
    with evidence:
        gold = evidence.find({name for question in questions for name in question.supporting_ids})
    asked = [Asked(question.id, question.question, question.vars) for question in questions]
    ranked = ranking_only(opened.pipeline).predict(asked, on_progress=context.on_progress)
    for question, prediction in zip(questions, ranked, strict=True):
        own = [passage for name in question.supporting_ids for passage in gold[name]]
        if own and all(gold[name] for name in question.supporting_ids):
            yield Reading(question, own, prediction.documents)


def reader_of(pipeline: Pipeline, model: str) -> AnswerRead:
    """Return the step that reads with a model.

    Raises:
        InputError: there is none.
    """
    return stage_with(pipeline, AnswerRead, model)


@dataclass(frozen=True, slots=True)
class DrawnRow:
    """A reader's row, and what it was made of: its question's passages, and those in the prompt."""

    row: SftRow
    reading: Reading
    passages: Documents


@builders.register("reader")
class ReaderBuilder(DataBuilder):
    """Short cited answers from passages, as `answer.read` of the recipe's pipeline asks for them.

    Each question gives rows of three kinds, drawn by their shares: `gold` (its gold passages), `mixed` (with
    distractors that the pipeline itself finds among them), `absent` (distractors only; the completion abstains).
    Passages stand in random order, and the completion cites those that hold the answer, or all gold ones.
    """

    makes: ClassVar[type[Row]] = SftRow

    copies: Copies = Field(1, description="rows of each question, each drawn anew, or {set: rows}")
    gold: float = Field(0.4, ge=0, description="share of rows with gold passages only")
    mixed: float = Field(0.45, ge=0, description="share of rows with distractors among the gold passages")
    absent: float = Field(0.15, ge=0, description="share of rows without a gold passage, which are abstained on")
    distractors: tuple[int, int] = Field((1, 3), description="fewest and most distractors of a row")
    longest: int = Field(320, ge=1, description="words of all passages of a row; distractors beyond are left out")
    answer_words: int = Field(12, ge=1, description="questions with longer gold answers give no rows")

    def build(self, part: Part, context: BuildContext) -> Sequence[Row]:
        rows: list[Row] = []
        for opened in context.sets(part):
            stage = reader_of(opened.pipeline, context.model)
            copies = context.copies(self.copies, opened.name, part)
            for reading in readings(opened, context):
                rows += [drawn.row for drawn in self.draw(opened.name, reading, stage, context.seed, copies)]
        random.Random(context.seed).shuffle(rows)  # noqa: S311 - not for secrets
        return rows

    def draw(self, name: str, reading: Reading, stage: AnswerRead, seed: int, copies: int) -> Iterator["DrawnRow"]:
        """Yield the rows of a question, each with passages of its own; none if its answers are too long."""
        question = reading.question
        answer = min(question.answers, key=lambda text: (abs(len(text.split()) - 2), len(text)))
        answer = question.answers[0] if len(question.answers[0].split()) <= self.answer_words else answer
        if len(answer.split()) > self.answer_words:
            return
        for copy in range(copies):
            draw = random.Random(f"{seed} {copy} {question.id}")  # noqa: S311 - not for secrets
            (kind,) = draw.choices([GOLD, MIXED, ABSENT], [self.gold, self.mixed, self.absent])
            if kind != GOLD and not reading.distractors:
                kind = GOLD
            passages = self._passages(reading, kind, draw)
            prompt = render(stage.prompt, question=question.question, passages=passages, abstain=stage.abstain)
            completion = stage.abstain if kind == ABSENT else cited(answer, passages, reading.gold)
            origin = {"set": name, "question": question.id, "kind": kind}
            row = SftRow(prompt=prompt, completion=completion, origin=origin)
            yield DrawnRow(row, reading, passages)

    def _passages(self, reading: Reading, kind: str, draw: random.Random) -> Documents:
        chosen = [] if kind == ABSENT else list(reading.gold)
        if kind != GOLD:
            room = self.longest - sum(len(passage.page_content.split()) for passage in chosen)
            pool = list(reading.distractors[: 2 * self.distractors[1]])
            wanted = draw.randint(*self.distractors) + (len(reading.gold) if kind == ABSENT else 0)
            for passage in draw.sample(pool, min(wanted, len(pool))):
                size = len(passage.page_content.split())
                if size <= room or not chosen:
                    chosen.append(passage)
                    room -= size
        draw.shuffle(chosen)
        return tuple(chosen)


def cited(answer: str, passages: Documents, gold: Sequence[Passage]) -> str:
    """Return an answer with the numbers of the gold passages: those that hold it word for word, or all of them."""
    ids = {passage.id for passage in gold}
    own = [passage for passage in passages if passage.id in ids]
    named = {passage.id for passage in (containing(answer, tuple(own)) if len(own) > 1 else own) or own}
    numbers = [str(number) for number, passage in enumerate(passages, 1) if passage.id in named]
    return f"{answer} [{', '.join(numbers)}]"
