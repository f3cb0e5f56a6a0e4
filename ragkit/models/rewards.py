"""What a reward is: how good a completion is, as a number. It trains a policy, chooses among samples, and measures."""

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from pydantic import Field

from ragkit.engine.component import Kind
from ragkit.engine.registry import Registry, rewards
from ragkit.engine.tasks import run_tasks
from ragkit.errors import InputError, RagkitError
from ragkit.models.base import Prompt

RewardFunction = Callable[..., Sequence[float]]
"""Called with `prompts`, `completions` and each column of the rows by its name; returns a number per completion."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """A completion, and what it is judged by.

    Attributes:
        columns: what the row holds beside its prompt: `question`, `answers` (gold), `passages` (the texts in the
            prompt, in the order of their numbers), `answerable` ...
    """

    prompt: Prompt
    completion: str
    columns: Mapping[str, Any]

    @property
    def passages(self) -> Sequence[str]:
        """The texts of the passages in the prompt; none where the rows have no such column."""
        passages: Sequence[str] = self.columns.get("passages", ())
        return passages

    @property
    def answers(self) -> Sequence[str]:
        """The gold answers; none where the rows have no such column."""
        answers: Sequence[str] = self.columns.get("answers", ())
        return answers


class Reward(Kind):
    """Says how good a completion is. Registered in `ragkit.engine.registry.rewards`.

    It is written for one completion. Called with many, it scores them side by side, so that what it asks of the
    pipeline's models is batched by the engine; nothing is kept between calls, so the same completions get the same
    rewards in a training that is resumed.

    Attributes:
        columns: the columns of the rows that it cannot do without.
    """

    kinds: ClassVar[Registry] = rewards
    columns: ClassVar[tuple[str, ...]] = ()

    weight: float = Field(1.0, allow_inf_nan=False, description="what it counts in the sum of the rewards")

    @abstractmethod
    async def score(self, rollout: Rollout) -> float:
        """Return how good a completion is.

        Raises:
            RagkitError: the row does not have what the completion is judged by.
        """

    def require(self, columns: Mapping[str, Any]) -> None:
        """See that rows have the columns that it cannot do without.

        Raises:
            InputError: one is missing.
        """
        missing = [name for name in self.columns if name not in columns]
        if missing:
            has = ", ".join(columns) or "none"
            raise InputError(f"reward '{reward_name(self)}' needs the column '{missing[0]}' (the rows have: {has})")

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[str], **columns: Sequence[Any]) -> list[float]:
        """Return the reward of each completion, in order.

        Args:
            prompts: what was asked.
            completions: what was written.
            columns: a value per completion for each column of the rows.

        Raises:
            InputError: a column is missing.
            RagkitError: a completion could not be scored.
        """
        self.require(columns)
        rows = rows_of(columns, len(completions))
        rollouts = [Rollout(*item) for item in zip(prompts, completions, rows, strict=True)]
        outcomes = run_tasks([partial(self.score, rollout) for rollout in rollouts], name=reward_name(self))
        for outcome in outcomes:
            if outcome.error is not None:
                raise RagkitError(f"reward '{reward_name(self)}': {outcome.error}")
        return [float(outcome.value) for outcome in outcomes]


def rows_of(columns: Mapping[str, Sequence[Any]], rows: int) -> list[dict[str, Any]]:
    """Return columns as rows."""
    return [{name: values[row] for name, values in columns.items()} for row in range(rows)]


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return rows as columns.

    Raises:
        InputError: not all rows have the same columns.
    """
    names = list(rows[0]) if rows else []
    for number, row in enumerate(rows):
        if set(row) != set(names):
            odd = sorted(set(row) ^ set(names))[0]
            raise InputError(f"all rows need the same columns, but row {number + 1} and the first differ in '{odd}'")
    return {name: [row[name] for row in rows] for name in names}


def reward_name(reward: RewardFunction) -> str:
    """Return what a reward is called: the `type` that it is registered under, or the name of a Python function."""
    if isinstance(reward, Reward):
        return next((name for name in rewards if rewards[name] is type(reward)), type(reward).__name__)
    return str(getattr(reward, "__name__", type(reward).__name__))


def unique_names(found: Sequence[RewardFunction]) -> list[str]:
    """Return a name for each of several rewards: `regex`, `regex_2` ..."""
    names: list[str] = []
    for name in map(reward_name, found):
        earlier = sum(known == name or known.startswith(f"{name}_") for known in names)
        names.append(f"{name}_{earlier + 1}" if earlier else name)
    return names


def weight_of(reward: RewardFunction) -> float:
    """Return what a reward counts in the sum; a Python function counts 1."""
    return reward.weight if isinstance(reward, Reward) else 1.0


def score_all(
    reward: RewardFunction, prompts: Sequence[Prompt], completions: Sequence[str], columns: Mapping[str, Sequence[Any]]
) -> list[float]:
    """Call a reward and return its values.

    Raises:
        RagkitError: it does not return a finite number for each completion.
    """
    values = [float(value) for value in reward(prompts, completions, **columns)]
    if len(values) != len(completions):
        raise RagkitError(
            f"reward '{reward_name(reward)}' gave {len(values)} values for {len(completions)} completions"
        )
    if not all(map(math.isfinite, values)):
        raise RagkitError(f"reward '{reward_name(reward)}' gave a value that is no finite number")
    return values
