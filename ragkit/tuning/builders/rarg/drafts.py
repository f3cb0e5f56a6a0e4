"""Prompts that rewards judge the completions of, and pairs of the best and the worst of several drafts."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from pydantic import Field
from typing_extensions import override

from ragkit.engine.registry import builders
from ragkit.engine.run_folder import replace_file
from ragkit.errors import InputError
from ragkit.evaluation.split import Part
from ragkit.models.base import LanguageModel
from ragkit.models.rewards import Reward, Rollout
from ragkit.stages.refuting.drafts import best_of, columns_of_claim, draw, worst_of
from ragkit.tuning.builders.rarg.claims import Claim, ClaimBuilder, none_found
from ragkit.tuning.calls import run_cached
from ragkit.tuning.data import BuildContext
from ragkit.tuning.rows import PreferenceRow, PromptRow, Row

TIE, FAILED = "a tie", "failed with "


@builders.register("rarg_prompts")
class RargPrompts(ClaimBuilder):
    """Prompts of `answer.refute` with what rewards judge responses by, for GRPO and RLOO.

    Columns: `question` (the claim), `passages` (the texts in the prompt, in the order of their numbers).
    """

    makes: ClassVar[type[Row]] = PromptRow

    @override
    def build(self, part: Part, context: BuildContext) -> Sequence[Row]:
        rows = [
            PromptRow(prompt=claim.prompt, columns=columns_of_claim(claim.text, claim.passages), origin=claim.origin)
            for opened in context.sets(part)
            for claim in self.claims(opened, context)
        ]
        if not rows and part == "train":
            raise none_found("prompt")
        return rows


@builders.register("rarg_dpo")
class RargPreferences(ClaimBuilder):
    """The best of several drafts of the model's own beside the worst, as a reward sees them; ties give no pair.

    Drafts are drawn from the model as the training begins with it, with the pipeline's own prompts. Of equal drafts
    the first counts. `margin` is what a pair has to differ by. How many gave none, and why, stands in
    `built.<part>.json` of the training's folder.

    Source: arXiv 2403.14952 aligns by RLHF; pairs of best and worst of n are a substitute where RL is out of reach.
    """

    makes: ClassVar[type[Row]] = PreferenceRow

    reward: Reward = Field(description="what tells better drafts from worse ones")
    samples: int = Field(8, ge=2, description="drafts of a prompt")
    temperature: float = Field(0.9, gt=0, description="of the drafts")
    margin: float = Field(0.05, ge=0, allow_inf_nan=False, description="least difference of their rewards")

    @override
    def build(self, part: Part, context: BuildContext) -> Sequence[Row]:
        rows: list[Row] = []
        dropped: Counter[str] = Counter()
        for opened in context.sets(part):
            model = opened.pipeline.models[context.model]
            assert isinstance(model, LanguageModel)  # noqa: S101 - the objective says what kind it trains
            tasks = [partial(self.pair, claim, model, context.seed) for claim in self.claims(opened, context)]
            for outcome in run_cached(tasks, f"{opened.name}: drafts", context):
                if outcome.error is not None:
                    dropped[FAILED + outcome.error.partition(":")[0]] += 1
                elif outcome.value is None:
                    dropped[TIE] += 1
                else:
                    rows.append(outcome.value)
        counts = {"rows": len(rows), **dropped}
        replace_file(context.folder / f"built.{part}.json", json.dumps(counts, indent=2).encode())
        if not rows and part == "train":
            told = ", ".join(f"{reason}: {count}" for reason, count in dropped.items())
            raise InputError(f"no pair could be made ({told})") if dropped else none_found("pair")
        return rows

    async def pair(self, claim: Claim, model: LanguageModel, seed: int) -> PreferenceRow | None:
        """Return the best draft beside the worst, or None if they are equally good."""
        drafts = await draw(model, claim.prompt, self.samples, claim.stage.max_new_tokens, self.temperature, seed)
        columns = columns_of_claim(claim.text, claim.passages)
        self.reward.require(columns)
        earned = await asyncio.gather(*(self.reward.score(Rollout(claim.prompt, draft, columns)) for draft in drafts))
        best, worst = best_of(earned), worst_of(earned)
        difference = earned[best] - earned[worst]
        if difference <= 0 or difference < self.margin or drafts[best] == drafts[worst] or not drafts[best]:
            return None
        origin = claim.origin | {"chosen": round(earned[best], 4), "rejected": round(earned[worst], 4)}
        return PreferenceRow(prompt=claim.prompt, chosen=drafts[best], rejected=drafts[worst], origin=origin)
