"""Rewards made of rewards: weighted sums and means, products, penalties, and gates."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from ragkit.engine.registry import rewards
from ragkit.errors import RagkitError
from ragkit.models.base import Prompt
from ragkit.models.rewards import Reward, RewardFunction, Rollout, reward_name, score_all, unique_names, weight_of

Part = Reward | RewardFunction
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Breakdown:
    """What a composed reward follows from.

    Attributes:
        value: the reward.
        open: whether every gate is open.
        parts: the raw value of each part.
        weighted: the same times its weight.
        penalties: the raw value of each fault.
        gates: the value of each gate.
    """

    value: float
    open: bool
    parts: dict[str, float]
    weighted: dict[str, float]
    penalties: dict[str, float]
    gates: dict[str, float]


@rewards.register("compose")
class ComposedReward(Reward):
    """One reward of several: their sum, mean or product, less penalties, and nothing where a gate is closed.

    A sum lets a strong part make up for a weak one; in a product each part guards the others. Weights are factors in a
    sum and powers in a product, whose parts must not be negative. A mean takes parts from 0 to 1 with weights that add
    up to 1, so that no part can outweigh the others by its scale. Penalties are subtracted, with their weights, also
    where a gate is closed: a fault is no smaller for it.
    """

    of: tuple[Reward | RewardFunction, ...] = Field(min_length=1, description="the parts")
    how: Literal["sum", "mean", "product"] = Field("sum", description="how the parts become one")
    penalties: tuple[Reward | RewardFunction, ...] = Field((), description="faults, subtracted by their weights")
    gates: tuple[Reward | RewardFunction, ...] = Field((), description="rewards that each have to reach `threshold`")
    gating: Literal["threshold", "product"] = Field(
        "threshold", description="threshold: all or nothing | product: times the value of each gate"
    )
    threshold: float = Field(0.5, allow_inf_nan=False, description="what opens a gate")
    closed: float = Field(0.0, allow_inf_nan=False, description="the reward where a gate is closed")

    @model_validator(mode="after")
    def _weights_fit(self) -> "ComposedReward":
        weights = [weight_of(part) for part in self.of]
        if self.how == "mean" and (min(weights) < 0 or abs(sum(weights) - 1) > _ROUNDING):
            raise ValueError(f"the weights of a mean add up to 1 and none is negative, not {weights}: use how: sum")
        return self

    @override
    async def score(self, rollout: Rollout) -> float:
        return (await self.explain(rollout)).value

    async def explain(self, rollout: Rollout) -> Breakdown:
        """Return the reward of a completion with everything that it follows from."""
        found = await asyncio.gather(*(_ask(part, rollout) for part in (*self.of, *self.penalties, *self.gates)))
        parts, rest = found[: len(self.of)], found[len(self.of) :]
        return self._combined(parts, rest[: len(self.penalties)], rest[len(self.penalties) :])

    @override
    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[str], **columns: Sequence[Any]) -> list[float]:
        return [row.value for row in self.explain_all(prompts, completions, columns)]

    def explain_all(
        self, prompts: Sequence[Prompt], completions: Sequence[str], columns: Mapping[str, Sequence[Any]]
    ) -> list[Breakdown]:
        """Return the rewards of completions with everything that they follow from; see `Reward.__call__`."""
        scored = [
            [score_all(part, prompts, completions, columns) for part in group]
            for group in (self.of, self.penalties, self.gates)
        ]
        rows = range(len(completions))
        return [self._combined(*([part[row] for part in group] for group in scored)) for row in rows]

    def _combined(self, parts: Sequence[float], faults: Sequence[float], gates: Sequence[float]) -> Breakdown:
        weights = [weight_of(part) for part in self.of]
        if self.how == "mean":
            self._check_bounds(parts)
        pairs = list(zip(weights, parts, strict=True))
        value = _product(pairs) if self.how == "product" else sum(weight * part for weight, part in pairs)
        is_open = not any(gate < self.threshold for gate in gates)
        if self.gating == "product":
            value *= math.prod(gates)
        elif not is_open:
            value = self.closed
        value -= sum(weight_of(fault) * found for fault, found in zip(self.penalties, faults, strict=True))
        names = unique_names(self.of)
        return Breakdown(
            value,
            is_open,
            dict(zip(names, parts, strict=True)),
            {name: weight * part for name, (weight, part) in zip(names, pairs, strict=True)},
            dict(zip(unique_names(self.penalties), faults, strict=True)),
            dict(zip(unique_names(self.gates), gates, strict=True)),
        )

    def _check_bounds(self, parts: Sequence[float]) -> None:
        for part, value in zip(self.of, parts, strict=True):
            if not -_ROUNDING <= value <= 1 + _ROUNDING:
                raise RagkitError(
                    f"reward 'compose': the part '{reward_name(part)}' of a mean gave {value:g}, not 0 to 1"
                )


async def _ask(part: Part, rollout: Rollout) -> float:
    if isinstance(part, Reward):
        part.require(rollout.columns)
        return await part.score(rollout)
    columns = {name: [value] for name, value in rollout.columns.items()}
    return score_all(part, [rollout.prompt], [rollout.completion], columns)[0]


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
