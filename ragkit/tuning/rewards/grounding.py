"""Rewards of a response to a claim: does it use the evidence, is it about the claim, does it read well?"""

import asyncio
import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from typing_extensions import override

from ragkit.engine.registry import rewards
from ragkit.models.base import ENTAILMENT, Encoder, EntailmentModel, LanguageModel
from ragkit.models.rewards import Reward, Rollout
from ragkit.stages.refuting.response import ResponseSentence, plain, read_response
from ragkit.tuning.rewards.relevance import Range, interpolate

_BEFORE = "Reply:"
"""What stands before a text whose perplexity is measured, because a first word has to follow something."""


@rewards.register("evidence_use")
class EvidenceUse(Reward):
    """How far the completion rests on the passages: `(2 S + C) / 3`.

    S is the mean over its factual sentences of the highest probability with which a passage entails the sentence, 0 if
    it has none; C is the cosine of the mean vectors of its sentences and of the passages, and not below 0. Without
    passages it is 0.
    """

    columns: ClassVar[tuple[str, ...]] = ("passages",)

    nli: EntailmentModel = Field(description="says whether a passage entails a sentence")
    encoder: Encoder

    @override
    async def score(self, rollout: Rollout) -> float:
        sentences = [sentence for sentence in read_response(rollout.completion) if sentence.text]
        if not sentences or not rollout.passages:
            return 0.0
        supported, near = await asyncio.gather(
            support(self.nli, sentences, rollout.passages), self._nearness(sentences, rollout.passages)
        )
        return (2 * supported + near) / 3

    async def _nearness(self, sentences: Sequence[ResponseSentence], passages: Sequence[str]) -> float:
        own, theirs = await asyncio.gather(
            _centre(self.encoder, [sentence.text for sentence in sentences]), _centre(self.encoder, passages)
        )
        return min(1.0, max(0.0, float(own @ theirs)))


async def support(nli: EntailmentModel, sentences: Sequence[ResponseSentence], passages: Sequence[str]) -> float:
    """Return the mean over factual sentences of the highest probability with which a passage entails the sentence.

    Source: the S of the reward in docs/rarg.md; 0 where no sentence is factual.
    """
    factual = [sentence for sentence in sentences if sentence.is_factual]
    found = await asyncio.gather(*(best_support(nli, sentence.text, passages) for sentence in factual))
    return sum(found) / len(found) if found else 0.0


async def best_support(nli: EntailmentModel, sentence: str, passages: Sequence[str]) -> float:
    """Return the highest probability with which a passage entails a sentence; 0 without passages."""
    choices = await asyncio.gather(*(nli.entail(passage, sentence) for passage in passages))
    return max((choice.probability(ENTAILMENT[0]) for choice in choices), default=0.0)


@rewards.register("claim_relevance")
class ClaimRelevance(Reward):
    """How near the completion is to the claim (the column `question`), between two cosines.

    Beyond them nothing changes, so there is nothing to be gained by copying the claim.
    """

    columns: ClassVar[tuple[str, ...]] = ("question",)

    encoder: Encoder
    cosines: Range = Field((0.2, 0.8), description="cosine that earns 0, cosine that earns 1")

    @override
    async def score(self, rollout: Rollout) -> float:
        text = plain(read_response(rollout.completion))
        if not text:
            return 0.0
        own, claim = await asyncio.gather(
            _centre(self.encoder, [text]), _centre(self.encoder, [rollout.columns["question"]])
        )
        return interpolate(float(own @ claim), self.cosines, (0.0, 1.0))


@rewards.register("fluency")
class Fluency(Reward):
    """How little the completion surprises a language model: 1 from a low perplexity, falling to 0 at a high one.

    It falls with the logarithm of the perplexity, which is that of the completion's own tokens: no padding is in it.
    The model has to be another one than is trained, or one without its adapter, or it would come to praise itself.
    """

    model: LanguageModel
    perplexities: Range = Field((10.0, 200.0), description="perplexity that earns 1, perplexity that earns 0")

    @model_validator(mode="after")
    def _is_range(self) -> "Fluency":
        low, high = self.perplexities
        if not 0 < low < high:
            raise ValueError(f"perplexities are a low and a high one above 0, not {low:g} and {high:g}")
        return self

    @override
    async def score(self, rollout: Rollout) -> float:
        text = plain(read_response(rollout.completion))
        if not text:
            return 0.0
        return fluency(-await self.model.likelihood(_BEFORE, f" {text}"), self.perplexities)


def fluency(surprise: float, perplexities: Range = (10.0, 200.0)) -> float:
    """Return the fluency of a text from the mean surprise of its tokens, in nats: the logarithm of its perplexity."""
    low, high = map(math.log, perplexities)
    return min(1.0, max(0.0, (high - surprise) / (high - low)))


async def _centre(encoder: Encoder, texts: Sequence[str]) -> NDArray[np.float64]:
    """Return the direction of the mean of the directions of texts; the zero vector where there is none."""
    vectors = [
        _unit(vector.astype(np.float64)) for vector in await asyncio.gather(*(_passage(encoder, t) for t in texts))
    ]
    return _unit(np.mean(vectors, axis=0))


async def _passage(encoder: Encoder, text: str) -> NDArray[np.float32]:
    return await encoder.embed(text, "passage")


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
