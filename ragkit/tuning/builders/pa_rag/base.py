"""What PA-RAG's two data builders share: prompts of the pipeline, target answers, and who says what supports what."""

import json
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ragkit.engine.run_folder import replace_file
from ragkit.engine.state import Documents
from ragkit.errors import InputError
from ragkit.evaluation.evidence import holds_answer
from ragkit.evaluation.marked import MarkedText, renumber
from ragkit.evaluation.questions import Question
from ragkit.evaluation.split import Part
from ragkit.models.base import EntailmentModel, LanguageModel, Prompt
from ragkit.prompts import prompt_setting, render
from ragkit.stages.answer import AnswerRead, first_line
from ragkit.stages.recite import Supports, asked_once, entails_by
from ragkit.tuning.builders.pa_rag.rewrite import rewrite
from ragkit.tuning.builders.pa_rag.scenarios import Tiers
from ragkit.tuning.builders.pa_rag.slots import Slots, is_complete, slots_of
from ragkit.tuning.builders.pa_rag.tiers import Golden, tiers_of
from ragkit.tuning.builders.reader import reader_of
from ragkit.tuning.calls import run_cached
from ragkit.tuning.data import BuildContext, DataBuilder, TuningSet
from ragkit.tuning.rows import Row


@dataclass(frozen=True, slots=True)
class Case:
    """A question that rows can be made of.

    Attributes:
        set: its set.
        reader: the pipeline's stage that reads the answer, which renders the prompts.
        target: the answer to learn, its citations in the order of the golden passages.
    """

    set: str
    reader: AnswerRead
    question: Question
    slots: Slots
    tiers: Tiers
    target: str

    def prompt(self, documents: Documents) -> Prompt:
        """Return the prompt that the pipeline's stage would give the model with these passages."""
        reader = self.reader
        return render(reader.prompt, question=self.question.question, passages=documents, abstain=reader.abstain)


class PaRagBuilder(DataBuilder):
    """Base of the builders: fields, and the cases of a set."""

    golden: Golden = Field(
        "supporting",
        description="golden passages: 'supporting', the gold evidence of the set; 'answers', found ones with an answer",
    )
    depth: int = Field(30, ge=1, description="passages to search for, of which noise is taken; the paper has 100")
    slots: str | None = Field(
        None, description="field of a question's row with a list of aliases for each short answer that has to be there"
    )
    teacher: LanguageModel | None = Field(
        None, description="who writes the answers to learn; without one they are the gold answers, citing gold passages"
    )
    prompt: Annotated[str, prompt_setting("question", "passages", "answers")] = Field(
        "tune.cited_answer", description="what the teacher is asked"
    )
    max_new_tokens: int = Field(200, ge=1, description="the most tokens of a teacher's answer")
    support: Literal["gold", "containment", "entailment"] = Field(
        "gold",
        description="when passages support a sentence: gold (they include all golden ones, and it holds the answer) | "
        "containment (they hold its words) | entailment",
    )
    nli: EntailmentModel | None = Field(None, description="who says what is entailed")
    judge: LanguageModel | None = Field(None, description="who says so instead: a language model")

    @model_validator(mode="after")
    def _somebody_judges(self) -> "PaRagBuilder":
        judges = (self.nli is not None) + (self.judge is not None)
        if judges != (self.support == "entailment"):
            raise ValueError("'support: entailment' needs either 'nli' or 'judge', and nothing else does")
        return self

    def build(self, part: Part, context: BuildContext) -> Sequence[Row]:
        dropped: Counter[str] = Counter()
        rows: list[Row] = []
        for opened in context.sets(part):
            cases = self._cases(opened, context, dropped)
            rows += self.rows_of(cases, opened, context, dropped)
        counts = {"rows": len(rows)} | {reason: count for reason, count in sorted(dropped.items()) if count}
        replace_file(context.folder / f"built.{part}.json", json.dumps(counts, indent=2).encode())
        if not rows and part == "train":
            told = ", ".join(f"{reason}: {count}" for reason, count in counts.items())
            raise InputError(f"no question gave a row ({told})")
        return rows

    @abstractmethod
    def rows_of(
        self, cases: Sequence[Case], opened: TuningSet, context: BuildContext, dropped: Counter[str]
    ) -> Sequence[Row]:
        """Return the rows of a set's cases; `dropped` counts why there are not more."""

    def supports(self, question: Question, documents: Documents, tiers: Tiers, slots: Slots) -> Supports:
        """Return who says whether passages of a prompt, by number, support a claim."""
        golden = {passage.id for passage in tiers.golden}

        async def support(numbers: tuple[int, ...], claim: str) -> bool:
            cited = [documents[number - 1] for number in numbers]
            if self.support == "gold":
                return golden <= {passage.id for passage in cited} and is_complete(claim, slots)
            texts = [passage.page_content for passage in cited]
            if self.support == "containment":
                return holds_answer(texts, [claim])
            return await entails_by(self.nli or self.judge, "\n".join(texts), f"{question.question} {claim}")

        return asked_once(support)

    def _cases(self, opened: TuningSet, context: BuildContext, dropped: Counter[str]) -> list[Case]:
        reader = reader_of(opened.pipeline, context.model)
        asked = [question for question in opened.questions if question.answerable and question.answers]
        dropped["no gold answer"] += len(opened.questions) - len(asked)
        slots = {question.id: slots_of(question, self.slots) for question in asked}
        tiers = tiers_of(opened, slots, self.golden, self.depth, context, dropped)
        asked = [question for question in asked if question.id in tiers]
        tasks = [partial(self._target, question, slots[question.id], tiers[question.id]) for question in asked]
        outcomes = run_cached(tasks, "target answers", context)
        cases = []
        for question, outcome in zip(asked, outcomes, strict=True):
            if outcome.error is None:
                target, reason = outcome.value
            else:
                target, reason = None, f"target failed with {outcome.error.partition(':')[0]}"
            if target is None:
                dropped[reason] += 1
                continue
            cases.append(Case(opened.name, reader, question, slots[question.id], tiers[question.id], target))
        return cases

    async def _target(self, question: Question, slots: Slots, tiers: Tiers) -> tuple[str | None, str]:
        """Return the answer to learn, or None and why there is none."""
        documents = tiers.golden
        if self.teacher is None:
            written = ", ".join(aliases[0] for aliases in slots)
        else:
            answers = [aliases[0] for aliases in slots]
            prompt = render(self.prompt, question=question.question, passages=documents, answers=answers)
            generation = await self.teacher.generate(prompt, max_new_tokens=self.max_new_tokens)
            written = first_line(generation.text)
        if not is_complete(MarkedText.parse(written).plain, slots):
            return None, "the target leaves out a short answer"
        mended = await rewrite(written, len(documents), self.supports(question, documents, tiers, slots))
        return mended, "no passages support the target"


def moved(text: str, before: Documents, after: Documents) -> str | None:
    """Return an answer whose citations name the same passages in another prompt; None if one is not there."""
    places = {passage.id: number for number, passage in enumerate(after, 1)}
    return renumber(text, lambda number: places.get(before[number - 1].id) if 1 <= number <= len(before) else None)
