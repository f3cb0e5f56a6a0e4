"""Rows of RW-Steering: judge which fragments to trust before answering; and of the baselines it is compared with."""

import functools
import random
from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal, TypeVar

from pydantic import Field

from ragkit.engine.registry import builders
from ragkit.engine.stage import Stage
from ragkit.errors import InputError
from ragkit.evaluation.evidence import Evidence
from ragkit.evaluation.split import Part
from ragkit.evaluation.steering.mixture import Controls, Mixture, MixtureSettings, make_mixture
from ragkit.evaluation.steering.testbed import Sample, bad_ids, pool_of
from ragkit.models.base import LanguageModel
from ragkit.prompts import quoted, render
from ragkit.stages.answer import AnswerRead
from ragkit.stages.steer_filter import SteerFilter
from ragkit.stages.steer_rw import SteerRW
from ragkit.stages.steering.verdict import render_verdict
from ragkit.tuning.builders.stages import stage_with
from ragkit.tuning.calls import run_cached
from ragkit.tuning.data import BuildContext, DataBuilder, TuningSet
from ragkit.tuning.rows import Row, SftRow

S = TypeVar("S", bound=Stage)
Controlled = Controls(direct=True, long=True, beside=False)
"""What rows with counter-controls have: the true direct answer among the good, and bad fragments that are not short."""


class _MixedRows(DataBuilder):
    """Contexts of known composition, drawn for each question."""

    makes: ClassVar[type[Row]] = SftRow

    bad: tuple[int, ...] = Field((0, 4, 8, 12, 16), min_length=1, description="numbers of bad fragments to draw from")
    copies: int = Field(1, ge=1, description="contexts of each question, each drawn anew")
    none_bad: float = Field(0.1, ge=0, le=1, description="share of contexts without a bad fragment, besides")
    all_bad: float = Field(0.05, ge=0, le=1, description="share of contexts without a good one, which are abstained on")
    controlled: float = Field(
        0.5, ge=0, le=1, description="share of contexts with a true direct answer and with long bad fragments"
    )
    types: tuple[str, ...] = Field((), description="only questions of these types; the others are held out")
    mixture: MixtureSettings = Field(
        MixtureSettings(fragments=20, order="shuffled", fill="others"),
        description="how contexts are mixed; its controls and seed are the builder's",
    )

    def samples(self, opened: TuningSet) -> list[Sample]:
        """Return the questions of a set that mixtures can be made of, with the texts of its index."""
        evidence = Evidence.of(opened.pipeline.index)
        if evidence is None:
            raise InputError(f"set '{opened.name}': fragments are looked up in an index of type 'local'")
        questions = [q for q in opened.questions if not self.types or q.type in self.types]
        with evidence:
            found = evidence.find({name for q in questions for name in (*q.supporting_ids, *bad_ids(q))})
        texts = {name: " ".join(piece.page_content for piece in pieces) for name, pieces in found.items() if pieces}
        return list(pool_of(questions, texts).samples)

    def mixtures(self, samples: Sequence[Sample], part: Part, seed: int) -> Iterator[Mixture]:
        """Yield the contexts of each question; the same seed gives the same ones."""
        highest = max(self.bad)
        if highest > self.mixture.fragments:
            raise InputError(f"data.bad: {highest} of {self.mixture.fragments} fragments cannot be bad")
        for sample in samples:
            for copy in range(self.copies if part == "train" else 1):
                draw = random.Random(f"{seed} {copy} {sample.id}")  # noqa: S311 - not for secrets
                number, kind = draw.choice(self.bad), draw.random()
                if kind < self.none_bad:
                    number = 0
                elif kind < self.none_bad + self.all_bad:
                    number = self.mixture.fragments
                controls = Controlled if draw.random() < self.controlled else Controls()
                changes = {"seed": seed * 1_000 + copy, "controls": controls}
                yield make_mixture(sample, number, self.mixture.model_copy(update=changes), samples)


@builders.register("rw_steering")
class SteeredRows(_MixedRows):
    """Mixed contexts with the verdict on them and the answer, as `steer.rw` of the recipe's pipeline asks for them.

    Stage 1 of the paper draws many proportions, stage 2 few bad fragments. Contexts of bad fragments only are answered
    with the stage's `abstain`. The numbers of a context are known from its making; no model labels anything.

    Source: arXiv 2509.04500, stages 1 and 2; that stage 2 uses the template of stage 1, the mixtures' numbers, and all
    counter-controls are ragkit's.
    """

    def build(self, part: Part, context: BuildContext) -> Sequence[Row]:
        rows: list[Row] = []
        for opened in context.sets(part):
            stage = _stage(opened, SteerRW, context.model)
            for mixture in self.mixtures(self.samples(opened), part, context.seed):
                answer = mixture.sample.gold if mixture.good else stage.abstain
                rows.append(
                    SftRow(
                        prompt=stage.filled(mixture.sample.question, mixture.passages()),
                        completion=render_verdict(mixture.bad, mixture.good, answer, stage.form),
                        origin=_origin(opened, mixture),
                    )
                )
        return _shuffled(rows, context.seed)


@builders.register("steer_aligned")
class SteerAlignedRows(_MixedRows):
    """Mixed contexts with the right answer alone, as `answer.read` asks for it: the baseline "alignment".

    Source: arXiv 2509.04500, families A1 (`answers: self`) and A2 (`answers: gold`).
    """

    answers: Literal["gold", "self"] = Field(
        "gold", description="gold: the set's answer | self: what the model itself answers from the good fragments"
    )

    def build(self, part: Part, context: BuildContext) -> Sequence[Row]:
        rows: list[Row] = []
        for opened in context.sets(part):
            stage = _stage(opened, AnswerRead, context.model)
            mixtures = list(self.mixtures(self.samples(opened), part, context.seed))
            answers = self._answers(mixtures, stage, context)
            for mixture, answer in zip(mixtures, answers, strict=True):
                prompt = render(
                    stage.prompt,
                    question=mixture.sample.question,
                    passages=mixture.passages(),
                    abstain=stage.abstain,
                )
                completion = answer if mixture.good else stage.abstain
                if completion:
                    rows.append(SftRow(prompt=prompt, completion=completion, origin=_origin(opened, mixture)))
        return _shuffled(rows, context.seed)

    def _answers(self, mixtures: Sequence[Mixture], stage: AnswerRead, context: BuildContext) -> list[str]:
        if self.answers == "gold":
            return [mixture.sample.gold for mixture in mixtures]
        tasks = [
            functools.partial(stage.run, mixture.sample.question, mixture.passages(oracle=True)) for mixture in mixtures
        ]
        return [
            "" if outcome.error is not None else str(outcome.value["answer"] or stage.abstain)
            for outcome in run_cached(tasks, "own answers", context)
        ]


@builders.register("steer_aware")
class SteerAwareRows(_MixedRows):
    """Single fragments with yes or no, as `steer.filter` with a model asks: the baselines "awareness" and "filtering".

    Each context gives rows of as many good as bad fragments, at most `per_context` of each. Used in `steer.filter` the
    result is the paper's filtering; trained on further by `steer_aligned` (`adapter.start`) it is its awareness.

    Source: arXiv 2509.04500, families B and C.
    """

    per_context: int = Field(2, ge=1, description="fragments of each kind that a context gives rows of")

    def build(self, part: Part, context: BuildContext) -> Sequence[Row]:
        rows: list[Row] = []
        for opened in context.sets(part):
            stage = _stage(opened, SteerFilter, context.model)
            for mixture in self.mixtures(self.samples(opened), part, context.seed):
                good, bad = list(dict.fromkeys(mixture.good)), list(dict.fromkeys(mixture.bad))
                each = min(len(good), len(bad), self.per_context)
                for number in (*good[:each], *bad[:each]):
                    fragment = mixture.fragments[number - 1]
                    prompt = render(stage.prompt, question=quoted(mixture.sample.question), text=quoted(fragment.text))
                    word = "no" if fragment.bad else "yes"
                    completion = f" {word}" if isinstance(prompt, str) else word
                    rows.append(SftRow(prompt=prompt, completion=completion, origin=_origin(opened, mixture)))
        return _shuffled(rows, context.seed)


def _stage(opened: TuningSet, cls: type[S], model: str) -> S:
    if not isinstance(opened.pipeline.models[model], LanguageModel):
        raise InputError(f"'{model}' is no language model")
    return stage_with(opened.pipeline, cls, model)


def _origin(opened: TuningSet, mixture: Mixture) -> dict[str, object]:
    sample = mixture.sample
    return {"set": opened.name, "question": sample.id, "type": sample.type, "bad": len(mixture.bad)}


def _shuffled(rows: list[Row], seed: int) -> list[Row]:
    if not rows:
        raise InputError("no question of the sets has good and bad fragments in the index")
    random.Random(seed).shuffle(rows)  # noqa: S311 - not for secrets
    return rows
