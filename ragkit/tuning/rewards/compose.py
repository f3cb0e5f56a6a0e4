"""Rewards made of rewards: weighted sums, products, and gates."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field
from typing_extensions import override

from ragkit.engine.registry import rewards
from ragkit.errors import RagkitError
from ragkit.models.base import Prompt
from ragkit.tuning.rewards.reward import Reward, RewardFunction, Rollout, score_all, weight_of


@rewards.register("compose")
class ComposedReward(Reward):
    """One reward of several: their weighted sum or their product, and nothing at all where a gate is closed.

    A sum lets a strong part make up for a weak one; in a product each part guards the others. Weights are factors in a
    sum and powers in a product, whose parts must not be negative.
    """

    of: tuple[Reward | RewardFunction, ...] = Field(min_length=1, description="the parts")
    how: Literal["sum", "product"] = Field("sum", description="how the parts become one")
    gates: tuple[Reward | RewardFunction, ...] = Field((), description="rewards that each have to reach `threshold`")
    threshold: float = Field(0.5, allow_inf_nan=False, description="what opens a gate")
    closed: float = Field(0.0, allow_inf_nan=False, description="the reward where a gate is closed")

    @override
    async def score(self, rollout: Rollout) -> float:
        columns = {name: [value] for name, value in rollout.columns.items()}
        return self([rollout.prompt], [rollout.completion], **columns)[0]

    @override
    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[str], **columns: Sequence[Any]) -> list[float]:
        parts = [(weight_of(part), score_all(part, prompts, completions, columns)) for part in self.of]
        gates = [score_all(gate, prompts, completions, columns) for gate in self.gates]
        values = []
        for row in range(len(completions)):
            if any(gate[row] < self.threshold for gate in gates):
                values.append(self.closed)
            elif self.how == "sum":
                values.append(sum(weight * part[row] for weight, part in parts))
            else:
                values.append(_product([(weight, part[row]) for weight, part in parts]))
        return values


def _product(parts: Sequence[tuple[float, float]]) -> float:
    product = 1.0
    for weight, value in parts:
        if value < 0:
            raise RagkitError(f"reward 'compose': a part of a product is negative ({value:g}); use how: sum")
        product *= value**weight
    return product


def total(
    parts: Sequence[RewardFunction],
    prompts: Sequence[Prompt],
    completions: Sequence[str],
    columns: Mapping[str, Sequence[Any]],
) -> list[float]:
    """Return the weighted sum of rewards for each completion, which is what a policy is trained on."""
    return ComposedReward(of=tuple(parts))(prompts, completions, **columns)
