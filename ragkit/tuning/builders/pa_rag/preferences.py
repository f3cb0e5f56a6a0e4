"""PA-RAG's later stages: pairs of answers for informativeness, robustness and citation quality."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from ragkit.engine.registry import builders
from ragkit.engine.state import Documents
from ragkit.engine.tasks import Task
from ragkit.evaluation.marked import MarkedText
from ragkit.models.base import LanguageModel
from ragkit.stages.answer import first_line, read_reply
from ragkit.tuning.builders.pa_rag.base import Case, PaRagBuilder, moved
from ragkit.tuning.builders.pa_rag.rewrite import is_supported, rewrite
from ragkit.tuning.builders.pa_rag.scenarios import Mode, documents_for
from ragkit.tuning.builders.pa_rag.slots import is_complete
from ragkit.tuning.calls import run_cached
from ragkit.tuning.data import BuildContext, TuningSet
from ragkit.tuning.rows import PreferenceRow, Row

Perspective = Literal["informativeness", "robustness", "citation", "abstention"]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A pair that is looked for: the prompt's scenario, and the one that the model is asked in for a worse answer."""

    perspective: Perspective
    prompt: Mode
    sampled: Mode


_WANTED = (
    _Wanted("informativeness", "golden", "subgolden"),
    _Wanted("robustness", "golden+noise", "golden+noise"),
    _Wanted("robustness", "golden+noise", "subgolden+noise"),
    _Wanted("citation", "golden+noise", "golden+noise"),
    _Wanted("abstention", "no_golden", "no_golden"),
)


@builders.register("pa_rag_dpo")
class PaRagPreferences(PaRagBuilder):
    """Pairs for one prompt: a good answer, and one of the model's own that is worse in one respect.

    - `informativeness`: the prompt has all golden passages; the worse answer was given when some were missing, and
      leaves out a short answer. There is none for a single golden passage.
    - `robustness`: the prompt has golden passages and noise; the worse answer was given in the midst of noise, and
      leaves out a short answer.
    - `citation`: one answer twice, with its own citations, which do not support it, and with citations that do. Ours:
      only of complete answers.
    - `abstention` (ours): the prompt has noise only; abstaining is better than a guess.

    Citations are numbered in the order of the prompt's passages; an answer that cites what is not in the prompt makes
    no pair, except for `citation`, where that is a fault to learn from. Worse answers are those of the model as it
    stands before the training. The better answer is that of the first stage, `pa_rag_sft`.

    Source: Wu et al. 2025 (PA-RAG), arXiv 2412.14510, its three stages of preference optimisation.
    """

    makes: ClassVar[type[Row]] = PreferenceRow

    pairs: tuple[Perspective, ...] = Field(min_length=1, description="which pairs; several make one joint stage")
    samples: int = Field(1, ge=1, description="answers to sample per prompt, the first fitting one of which is taken")
    temperature: float = Field(0.0, ge=0, description="of the samples; 0 is the one greedy answer")

    @model_validator(mode="after")
    def _samples_differ(self) -> "PaRagPreferences":
        if self.samples > 1 and not self.temperature:
            raise ValueError("several samples need a temperature above 0")
        return self

    def rows_of(
        self, cases: Sequence[Case], opened: TuningSet, context: BuildContext, dropped: Counter[str]
    ) -> Sequence[Row]:
        model = opened.pipeline.models[context.model]
        assert isinstance(model, LanguageModel)  # noqa: S101 - the objective says what kind it trains
        wanted = [(case, pair) for case in cases for pair in _WANTED if pair.perspective in self.pairs]
        tasks: list[Task] = [partial(self._pair, case, pair, model, context.seed) for case, pair in wanted]
        rows: list[Row] = []
        seen: set[tuple[str, str, str, str]] = set()
        for (case, pair), outcome in zip(wanted, run_cached(tasks, "answers to compare", context), strict=True):
            found = outcome.value if outcome.error is None else f"failed with {outcome.error.partition(':')[0]}"
            if isinstance(found, str):
                dropped[f"{pair.perspective}: {found}"] += 1
                continue
            key = (case.question.id, pair.perspective, found.chosen, found.rejected)
            if key not in seen:  # the same answer in two scenarios
                seen.add(key)
                rows.append(found)
        return rows

    async def _pair(self, case: Case, pair: _Wanted, model: LanguageModel, seed: int) -> PreferenceRow | str:
        """Return a pair, or why there is none."""
        if pair.sampled.startswith("subgolden") and len(case.tiers.golden) < 2:
            return "no golden passage could be left out"
        target, sampled = (
            documents_for(mode, case.tiers, seed, case.question.id) for mode in (pair.prompt, pair.sampled)
        )
        if not sampled:
            return "no passages for a prompt"
        reason = ""
        for draw in range(self.samples):
            answer = await self._answer(case, sampled, model, seed, draw)
            found = await self._compare(case, pair, answer, target, sampled)
            if not isinstance(found, str):
                chosen, rejected = found
                origin = {
                    "set": case.set,
                    "question": case.question.id,
                    "kind": pair.perspective,
                    "sampled": pair.sampled,
                }
                return PreferenceRow(prompt=case.prompt(target), chosen=chosen, rejected=rejected, origin=origin)
            reason = reason or found
        return reason

    async def _answer(self, case: Case, documents: Documents, model: LanguageModel, seed: int, draw: int) -> str:
        """Return what the model answers, decoded as in the pipeline."""
        prompt = case.prompt(documents)
        generation = await model.generate(
            prompt,
            max_new_tokens=case.reader.max_new_tokens,
            temperature=self.temperature,
            seed=seed,
            draw=draw,
            stop=["\n"] if isinstance(prompt, str) else [],
        )
        return first_line(generation.text)

    async def _compare(
        self, case: Case, pair: _Wanted, answer: str, target: Documents, sampled: Documents
    ) -> tuple[str, str] | str:
        """Return the better and the worse answer in the target's numbering, or why this answer makes no pair."""
        if not answer:
            return "empty answer"
        complete = is_complete(MarkedText.parse(answer).plain, case.slots)
        if pair.perspective == "citation":
            return await self._recited(case, answer, target) if complete else "incomplete answer"
        if complete:
            return "complete answer"
        if pair.perspective == "abstention":
            silent = read_reply(answer, len(target), case.reader.abstain)[0] is None
            return "abstained" if silent else (case.reader.abstain, answer)
        chosen, rejected = moved(case.target, case.tiers.golden, target), moved(answer, sampled, target)
        return "cites what is not there" if chosen is None or rejected is None else (chosen, rejected)

    async def _recited(self, case: Case, answer: str, documents: Documents) -> tuple[str, str] | str:
        """Return an answer with citations that support it, and as it was with those that do not."""
        supports = self.supports(case.question, documents, case.tiers, case.slots)
        if await is_supported(answer, len(documents), supports):
            return "supported answer"
        mended = await rewrite(answer, len(documents), supports)
        return "no passages support the answer" if mended is None else (mended, answer)
