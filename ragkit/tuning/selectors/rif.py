"""Prompts that there is something to learn from: the model gets them right sometimes, and not always."""

import asyncio
from collections.abc import Sequence
from functools import partial

from pydantic import Field

from ragkit.engine.registry import selectors
from ragkit.errors import InputError
from ragkit.models.base import LanguageModel
from ragkit.models.rewards import Reward, RewardFunction, columns_of
from ragkit.tuning.calls import run_cached
from ragkit.tuning.data import BuildContext, Selected, Selector
from ragkit.tuning.rewards.compose import total
from ragkit.tuning.rows import PromptRow, Row


@selectors.register("rif")
class RolloutFilter(Selector):
    """Keep the prompts of which at least one of several sampled completions is rewarded, but not all are.

    Where none is, or all are, completions do not differ in what they earn, and GRPO learns nothing from them.

    Source: RIF-RFT, arXiv 2507.05386, for prompts without a reward; that those with nothing else go too is ragkit's.
    """

    model: LanguageModel = Field(description="the model that is tuned, as it is before the training")
    rewards: tuple[Reward | RewardFunction, ...] = Field(min_length=1, description="those of the objective")
    at_least: float = Field(0.5, allow_inf_nan=False, description="sum of the rewards from which one is rewarded")
    rollouts: int = Field(8, ge=2, description="completions of a prompt")
    temperature: float = Field(1.0, gt=0, description="of the sampling")
    max_new_tokens: int = Field(32, ge=1, description="the most tokens of a completion")

    def select(self, rows: Sequence[Row], context: BuildContext) -> Selected:
        asked = [row for row in rows if isinstance(row, PromptRow)]
        if len(asked) < len(rows):
            raise InputError("rif: selects among prompts (grpo, rloo), not among rows with completions")
        outcomes = run_cached([partial(self._sample, row, context.seed) for row in asked], "rollouts", context)
        done = [(row, outcome.value) for row, outcome in zip(asked, outcomes, strict=True) if outcome.error is None]
        flat = [(row, text) for row, texts in done for text in texts]
        columns = columns_of([row.columns for row, _ in flat])
        earned = total(self.rewards, [row.prompt for row, _ in flat], [text for _, text in flat], columns)
        kept: list[Row] = []
        reasons = {"kept": 0, "never rewarded": 0, "always rewarded": 0, "failed": len(asked) - len(done)}
        for number, (row, _) in enumerate(done):
            own = earned[number * self.rollouts : (number + 1) * self.rollouts]
            rewarded = sum(value >= self.at_least for value in own)
            reason = "always rewarded" if rewarded == self.rollouts else "kept" if rewarded else "never rewarded"
            reasons[reason] += 1
            kept += [row] if reason == "kept" else []
        return Selected(kept, {reason: count for reason, count in reasons.items() if count})

    async def _sample(self, row: PromptRow, seed: int) -> list[str]:
        draws = (
            self.model.generate(
                row.prompt, max_new_tokens=self.max_new_tokens, temperature=self.temperature, seed=seed, draw=draw
            )
            for draw in range(self.rollouts)
        )
        return [generation.text for generation in await asyncio.gather(*draws)]
