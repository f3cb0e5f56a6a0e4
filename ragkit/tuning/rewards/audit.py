"""Can a reward be earned without answering? Policies that do no work, scored before anything is trained on it."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ragkit.errors import InputError
from ragkit.models.rewards import RewardFunction, Rollout, columns_of, score_all, unique_names
from ragkit.tuning.rewards.compose import total
from ragkit.tuning.rows import PromptRow

_WORD = re.compile(r"\w+")
_KEYWORDS = 20
_KEYWORD_LETTERS = 4

Policy = Callable[[Rollout], str]
"""Returns what it always writes, given a row (whose completion is empty)."""


@dataclass(frozen=True, slots=True)
class Score:
    """What a policy earns: the mean of the weighted sum of the rewards, and of each reward alone, unweighted."""

    mean: float
    parts: dict[str, float]


@dataclass(frozen=True, slots=True)
class Audit:
    """What policies earn that do no work, beside an honest one.

    Attributes:
        honest: of the policy that is to be trained.
        policies: of each degenerate one.
        rows: how many prompts they answered.
    """

    honest: Score
    policies: dict[str, Score]
    rows: int

    @property
    def hacks(self) -> list[str]:
        """The degenerate policies that earn no less than the honest one, the best paid first."""
        found = [name for name, score in self.policies.items() if score.mean >= self.honest.mean]
        return sorted(found, key=lambda name: -self.policies[name].mean)

    def check(self) -> None:
        """Refuse a reward that teaches a policy to stop working.

        Raises:
            InputError: names the degenerate policies that are paid no less than the honest one, and what to do.
        """
        if not self.hacks:
            return
        listed = ", ".join(f"'{name}' {self.policies[name].mean:.3f}" for name in self.hacks)
        raise InputError(
            f"the rewards pay policies that do no work as much as the model's own answers or more: over {self.rows} "
            f"prompts the model earns {self.honest.mean:.3f}, but {listed}. Training would lead there: change the "
            "rewards (a product, a gate, a reward of right answers), or start from a better model (adapter: start)"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the audit as JSON data."""
        scores = {"model": self.honest} | self.policies
        return {
            "prompts": self.rows,
            "hacks": self.hacks,
            "means": {name: {"reward": score.mean, **score.parts} for name, score in scores.items()},
        }


def audit_rewards(
    rewards: Sequence[RewardFunction],
    rows: Sequence[PromptRow],
    completions: Sequence[str],
    *,
    abstain: str = "unanswerable",
    words: int | None = None,
) -> Audit:
    """Score policies that do no work, beside a model's own completions.

    Source: the lesson of arXiv 2511.16073 and of R^3 (arXiv 2402.03469), whose first reward was earned by copying the
    question.

    Args:
        rewards: what a policy is to be trained on.
        rows: prompts with the columns that rewards judge by.
        completions: what the model that is to be trained writes, one for each row.
        abstain: the reply that counts as abstaining.
        words: the most words of a completion, because a policy cannot write more.

    Raises:
        InputError: there are no rows, or they lack a column that a reward needs.
    """
    if not rows:
        raise InputError("there are no prompts to audit the rewards with")
    prompts = [row.prompt for row in rows]
    columns = columns_of([row.columns for row in rows])
    names = unique_names(rewards)

    def score(texts: Sequence[str]) -> Score:
        parts = {
            name: _mean(score_all(reward, prompts, texts, columns)) for name, reward in zip(names, rewards, strict=True)
        }
        return Score(_mean(total(rewards, prompts, texts, columns)), parts)

    blank = [Rollout(row.prompt, "", row.columns) for row in rows]
    policies = degenerate_policies(blank, abstain)
    written = {name: [_cut(policy(rollout), words) for rollout in blank] for name, policy in policies.items()}
    return Audit(score(completions), {name: score(texts) for name, texts in written.items()}, len(rows))


def degenerate_policies(rollouts: Sequence[Rollout], abstain: str) -> dict[str, Policy]:
    """Return policies that do no work, by name; the first two always write the same, whatever is asked."""
    common = Counter(answer for rollout in rollouts for answer in rollout.answers[:1])
    constant = common.most_common(1)[0][0] if common else "yes"
    return {
        "constant": lambda _: f"{constant} [1]",
        "empty": lambda _: "",
        "abstain": lambda _: abstain,
        "echo the question": _question,
        "copy a passage": lambda rollout: f"{rollout.passages[0]} [1]" if rollout.passages else _question(rollout),
        "cite everything": lambda rollout: f"{constant} {''.join(f'[{n}]' for n, _ in enumerate(rollout.passages, 1))}",
        "keywords": lambda rollout: ", ".join(_keywords(rollout)),
        "ramble": lambda rollout: " ".join([_question(rollout), *rollout.passages]),
    }


def _question(rollout: Rollout) -> str:
    return str(rollout.columns.get("question", ""))


def _keywords(rollout: Rollout) -> list[str]:
    """Return the most frequent long words of the question and the passages, which hold the answer's."""
    text = " ".join([_question(rollout), *rollout.passages])
    counts = Counter(word for word in _WORD.findall(text) if len(word) >= _KEYWORD_LETTERS)
    return [word for word, _ in counts.most_common(_KEYWORDS)]


def _cut(text: str, words: int | None) -> str:
    return text if words is None else " ".join(text.split()[:words])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
