"""The reward of RARG: responses to false claims that refute them, politely, from evidence."""

from functools import cached_property
from typing import ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from ragkit.engine.registry import rewards
from ragkit.models.base import Encoder, EntailmentModel, LanguageModel, TextClassifier
from ragkit.models.rewards import Reward, Rollout
from ragkit.tuning.rewards.compose import Breakdown, ComposedReward
from ragkit.tuning.rewards.faults import CopiedEvidence, InvalidCitation, OffLength, Repetition
from ragkit.tuning.rewards.grounding import ClaimRelevance, EvidenceUse, Fluency
from ragkit.tuning.rewards.refuting import LabelledReward, RefutesReward


@rewards.register("rarg")
class RargReward(Reward):
    """A response to a false claim: `.30 refutes + .15 polite + .35 evidence use + .10 relevance + .10 fluency`.

    Less `.2` of what is copied beyond half, `.2` of what is repeated, `.5` outside 20 to 120 words and `1` for a
    citation that leads nowhere. What does not refute earns nothing: a polite evasion must not score. It is a preset of
    `compose`, which takes the same parts with other weights.

    Source: Yue et al. 2024 (RARG), arXiv 2403.14952, has the aims; its terms and weights could not be obtained, and
    these are inferred (docs/rarg.md).
    """

    columns: ClassVar[tuple[str, ...]] = ("question", "passages")

    nli: EntailmentModel = Field(description="says what a text entails or contradicts")
    politeness: TextClassifier = Field(description="says whether a text is polite")
    polite: str = Field("polite", min_length=1, description="what it calls polite texts")
    encoder: Encoder
    model: LanguageModel = Field(description="a frozen language model, for the perplexity")
    gating: Literal["threshold", "product"] = Field(
        "threshold", description="below .5 of `refutes` nothing | product: all times `refutes`"
    )

    @cached_property
    def composed(self) -> ComposedReward:
        """The parts that it is made of."""
        refutes = RefutesReward(nli=self.nli, weight=0.30)
        return ComposedReward(
            of=(
                refutes,
                LabelledReward(classifier=self.politeness, label=self.polite, weight=0.15),
                EvidenceUse(nli=self.nli, encoder=self.encoder, weight=0.35),
                ClaimRelevance(encoder=self.encoder, weight=0.10),
                Fluency(model=self.model, weight=0.10),
            ),
            how="mean",
            penalties=(CopiedEvidence(), Repetition(), OffLength(), InvalidCitation()),
            gates=(refutes,),
            gating=self.gating,
        )

    @override
    async def score(self, rollout: Rollout) -> float:
        return (await self.explain(rollout)).value

    async def explain(self, rollout: Rollout) -> Breakdown:
        """Return the reward of a response with everything that it follows from."""
        return await self.composed.explain(rollout)
