"""Refuted claims of a set with the evidence that a response may use, as the pipeline's stage will show it."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from pydantic import Field

from ragkit.engine.state import Documents, Passage
from ragkit.errors import InputError
from ragkit.evaluation.evidence import Evidence
from ragkit.evaluation.questions import Question
from ragkit.models.base import Prompt
from ragkit.stages.refute import AnswerRefute
from ragkit.tuning.builders.passages import is_gold, retrieval_of
from ragkit.tuning.builders.stages import stage_with
from ragkit.tuning.calls import run_cached, values_of
from ragkit.tuning.data import BuildContext, DataBuilder, TuningSet


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim with evidence.

    Attributes:
        stage: the pipeline's stage that responds, which renders the prompt.
        passages: gold evidence among what the pipeline finds, in random order.
        gold: the numbers of the gold passages, from 1.
    """

    set: str
    id: str
    text: str
    stage: AnswerRefute
    passages: Documents
    gold: tuple[int, ...]

    @property
    def prompt(self) -> Prompt:
        """The prompt that the pipeline's stage gives the model for it."""
        return self.stage.filled(self.text, self.passages)

    @property
    def origin(self) -> dict[str, object]:
        """Where a row of it is from."""
        return {"set": self.set, "question": self.id}


class ClaimBuilder(DataBuilder):
    """Base of the builders: which questions are claims that evidence refutes, and how much evidence is shown."""

    refuted: tuple[str, ...] = Field(
        ("REFUTED", "Refutes", "CONTRADICT", "fake"), description="gold answers of the claims that are refuted"
    )
    shown: int = Field(3, ge=1, description="passages of a prompt, gold ones among them")

    def claims(self, opened: TuningSet, context: BuildContext) -> list[Claim]:
        """Return the refuted claims of a set with their evidence; those without gold evidence are left out.

        Raises:
            InputError: the pipeline has no `answer.refute` with the model, or no retrieval.
            RagkitError: a search failed.
        """
        wanted = [q for q in opened.questions if set(q.answers) & set(self.refuted)]
        return self.with_evidence(opened, [(q, q.supporting_ids, ()) for q in wanted], context)

    def with_evidence(
        self,
        opened: TuningSet,
        asked: Sequence[tuple[Question, Sequence[str], Sequence[Passage]]],
        context: BuildContext,
    ) -> list[Claim]:
        """Return claims with their gold evidence among what is found for them.

        Args:
            opened: the set.
            asked: each claim, the ids of its gold passages in the index, and gold passages that are not in it.
            context: of the building.
        """
        stage = stage_with(opened.pipeline, AnswerRefute, context.model)
        retrieval = retrieval_of(opened)
        evidence = Evidence.of(opened.pipeline.index)
        if evidence is None:
            raise InputError(f"set '{opened.name}': gold passages are looked up in an index of type 'local'")
        with evidence:
            known = evidence.find({name for _, names, _ in asked for name in names})
        deep = retrieval.model_copy(update={"k": 2 * self.shown})
        tasks = [partial(deep.run, (question.question,)) for question, _, _ in asked]
        found = values_of(run_cached(tasks, f"{opened.name}: evidence", context), f"set '{opened.name}'")
        claims = []
        for (question, names, further), others in zip(asked, found, strict=True):
            gold = [*further, *(piece for name in names for piece in known[name])][: self.shown]
            if not gold:
                continue
            ids = {passage.id for passage in gold}
            beside = [passage for passage in others if passage.id not in ids and not is_gold(passage, question)]
            passages = [*gold, *beside[: self.shown - len(gold)]]
            random.Random(f"{context.seed} {question.id}").shuffle(passages)  # noqa: S311 - not for secrets
            numbers = tuple(number for number, passage in enumerate(passages, 1) if passage.id in ids)
            claims.append(Claim(opened.name, question.id, question.question, stage, tuple(passages), numbers))
        return claims


def none_found(kind: str) -> InputError:
    """Return the error of a builder that found nothing to make rows of."""
    return InputError(
        f"no {kind} could be made: no set has refuted claims with gold evidence in its index (see data.refuted)"
    )
