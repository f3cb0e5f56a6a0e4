"""Rewards of short replies to questions about passages."""

from abc import abstractmethod
from collections.abc import Sequence

from pydantic import Field
from typing_extensions import override

from ragkit.models.rewards import Reward, Rollout
from ragkit.stages.answer import first_line, read_reply


class ReplyReward(Reward):
    """A reward of replies to questions about passages, which are read as `answer.read` reads them.

    Where the right thing is to abstain (the column `answerable` is false), abstaining scores 1 and all else 0;
    elsewhere abstaining scores 0.
    """

    abstain: str = Field("unanswerable", min_length=1, description="the reply that counts as abstaining")
    whole: bool = Field(False, description="judge the whole completion, not its first line alone")

    @override
    async def score(self, rollout: Rollout) -> float:
        text = rollout.completion.strip() if self.whole else first_line(rollout.completion)
        answer, numbers = read_reply(text, len(rollout.passages), self.abstain)
        if not rollout.columns.get("answerable", True):
            return float(answer is None)
        return 0.0 if answer is None else await self.judge(answer, numbers, rollout)

    @abstractmethod
    async def judge(self, answer: str, cited: Sequence[int], rollout: Rollout) -> float:
        """Return how good an answer is to a question that has one.

        Args:
            answer: without citation markers, not empty.
            cited: the numbers of the cited passages, from 1.
            rollout: what it is judged by.
        """
