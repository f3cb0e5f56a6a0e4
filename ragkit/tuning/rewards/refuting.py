"""Rewards of a response to a claim: does it refute it, and is it written as it should be?"""

from typing import ClassVar

from pydantic import Field
from typing_extensions import override

from ragkit.engine.registry import rewards
from ragkit.models.base import ENTAILMENT, EntailmentModel, TextClassifier
from ragkit.models.rewards import Reward, Rollout
from ragkit.stages.refuting.response import plain, read_response, restates


@rewards.register("refutes")
class RefutesReward(Reward):
    """How probable it is that the completion contradicts the claim (the column `question`).

    It is judged as a pair, so that "this is false" earns nothing by itself. The stance guard makes it 0 where the
    completion asserts the claim: where entailment is more probable than contradiction, or where a sentence says the
    claim again without denying it. An empty completion earns 0.

    Source: the pair classifier is that of MisinfoCorrect, whose code takes the sigmoid of one of two logits; here it
    is a probability over all labels. The guard is ragkit's.
    """

    columns: ClassVar[tuple[str, ...]] = ("question",)

    nli: EntailmentModel = Field(description="says whether a text entails, leaves open or contradicts a claim")
    guard: bool = Field(True, description="nothing for a completion that asserts the claim")

    @override
    async def score(self, rollout: Rollout) -> float:
        sentences, claim = read_response(rollout.completion), rollout.columns["question"]
        text = plain(sentences)
        if not text or (self.guard and restates(sentences, claim)):
            return 0.0
        choice = await self.nli.entail(text, claim)
        entails, contradicts = choice.probability(ENTAILMENT[0]), choice.probability(ENTAILMENT[2])
        return 0.0 if self.guard and entails > contradicts else contradicts


@rewards.register("labelled")
class LabelledReward(Reward):
    """How probable a label is for the completion, without its citation markers; an empty completion earns 0."""

    classifier: TextClassifier = Field(description="says of which kind a text is")
    label: str = Field(min_length=1, description="the label that is wanted: polite, say")

    @override
    async def score(self, rollout: Rollout) -> float:
        text = plain(read_response(rollout.completion))
        return (await self.classifier.classify(text)).probability(self.label) if text else 0.0
