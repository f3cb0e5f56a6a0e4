"""PA-RAG's first stage: verified cited answers for supervised fine-tuning."""

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from ragkit.engine.registry import builders
from ragkit.tuning.builders.pa_rag.base import Case, PaRagBuilder, moved
from ragkit.tuning.builders.pa_rag.scenarios import documents_for
from ragkit.tuning.data import BuildContext, TuningSet
from ragkit.tuning.rows import Row, SftRow


@builders.register("pa_rag_sft")
class PaRagAnswers(PaRagBuilder):
    """Answers that are complete and cite what supports them, for prompts of golden passages, with noise and without.

    A teacher writes each answer, told what it has to hold; it is kept if it holds every short answer and its citations
    can be mended. Prompts for training hold no such hints.

    The paper's are ChatGPT's answers to golden passages. Ours: gold answers citing gold passages where no teacher is
    named, prompts with noise beside those without, and `no_golden` prompts, to which the right reply is to abstain (the
    paper has none, and its models got worse where nothing relevant was found).

    Source: Wu et al. 2025 (PA-RAG), arXiv 2412.14510, its instruction fine-tuning.
    """

    makes: ClassVar[type[Row]] = SftRow

    scenarios: tuple[Literal["golden", "golden+noise", "no_golden"], ...] = Field(
        ("golden", "golden+noise"), min_length=1, description="which prompts to make of each question"
    )

    def rows_of(
        self, cases: Sequence[Case], opened: TuningSet, context: BuildContext, dropped: Counter[str]
    ) -> Sequence[Row]:
        rows = []
        for case in cases:
            for mode in self.scenarios:
                documents = documents_for(mode, case.tiers, context.seed, case.question.id)
                completion = (
                    case.reader.abstain if mode == "no_golden" else moved(case.target, case.tiers.golden, documents)
                )
                if not documents or completion is None:
                    dropped["no passages for a prompt"] += 1
                    continue
                origin = {"set": case.set, "question": case.question.id, "kind": mode}
                rows.append(SftRow(prompt=case.prompt(documents), completion=completion, origin=origin))
        return rows
