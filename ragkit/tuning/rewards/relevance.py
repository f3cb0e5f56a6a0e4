"""R^3: relevance as a reward, regularised so that it is not earned by copying, repeating or rambling."""

import asyncio
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import override

from ragkit.engine.registry import rewards
from ragkit.evaluation.judges.citations import split_sentences
from ragkit.models.base import Encoder
from ragkit.models.rewards import Rollout
from ragkit.tuning.rewards.reward import ReplyReward

Range = tuple[float, float]


@rewards.register("r3")
class RegularisedRelevance(ReplyReward):
    """Relevance of the answer, as an encoder sees it, times what keeps it honest.

    An open-ended question (no gold answer): `cos(question, answer) * length * repetition`. A closed one:
    `F(cos(gold, answer)) * repetition`, the best over the gold answers, where F maps the range of one cosine onto that
    of the other, so that the two kinds of question earn alike. Length is `min(1, words / length)`, so it stops paying
    there (in the paper it goes on); repetition is the share of different ones among the trigrams. Two further factors
    are for answers from passages: `ground`, the mean over the answer's sentences of the nearest passage's cosine, and
    `copy`, 1 less the share of the answer that is one run of words of the question or of a passage. Cosines below 0
    count 0.

    Source: Kim and Seo 2024 (R^3), arXiv 2402.03469; the form of F, the cap of the length and the last two factors are
    ragkit's.
    """

    columns: ClassVar[tuple[str, ...]] = ("question",)

    encoder: Encoder
    kind: Literal["auto", "open", "closed"] = Field(
        "auto", description="of the questions; auto: those with gold answers are closed"
    )
    length: int = Field(100, ge=1, description="words from which an open answer's length pays no more")
    capped: bool = Field(True, description="false: length pays without end, as in the paper")
    open_range: Range = Field((0.0, 1.0), description="lowest and highest cosine of questions and good answers")
    closed_range: Range = Field((0.0, 1.0), description="lowest and highest cosine of gold and good answers")
    ground: bool = Field(True, description="multiply by how near the answer's sentences are to the passages")
    copy_words: int = Field(
        12, ge=1, description="a run of so many words, or a whole question or passage, counts as copied"
    )
    whole: bool = Field(True, description="judge the whole completion, not its first line alone")

    @override
    async def judge(self, answer: str, cited: Sequence[int], rollout: Rollout) -> float:
        question = rollout.columns["question"]
        closed = self.kind == "closed" or (self.kind == "auto" and bool(rollout.answers))
        honest = distinct_trigrams(answer) * (1.0 - copied(answer, [question, *rollout.passages], self.copy_words))
        if closed:
            relevance = max(await self._cosines(answer, rollout.answers))
            value = interpolate(relevance, self.closed_range, self.open_range)
        else:
            asked, said = await asyncio.gather(self._direction(question, "query"), self._direction(answer))
            value = _cosine(asked, said) * length_incentive(answer, self.length, self.capped)
        if self.ground and rollout.passages:
            nearest = [max(await self._cosines(part, rollout.passages)) for part in split_sentences(answer)]
            value *= sum(nearest) / len(nearest)
        return value * honest

    async def _cosines(self, text: str, others: Sequence[str]) -> list[float]:
        """Return the cosines of a text and others of its kind."""
        one, *rest = await asyncio.gather(*(self._direction(part) for part in (text, *others)))
        return [_cosine(one, other) for other in rest]

    async def _direction(self, text: str, kind: Literal["query", "passage"] = "passage") -> NDArray[np.float64]:
        vector = (await self.encoder.embed(text, kind)).astype(np.float64)
        return vector / max(float(np.linalg.norm(vector)), 1e-12)


def _cosine(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return max(0.0, float(one @ other))


def length_incentive(text: str, length: int, capped: bool) -> float:
    """Return the number of words as a share of `length`, at most 1 if capped."""
    share = len(text.split()) / length
    return min(1.0, share) if capped else share


def distinct_trigrams(text: str) -> float:
    """Return the share of different trigrams among those of the words; 1 for a text that is too short to have any."""
    words = text.casefold().split()
    trigrams = list(zip(words, words[1:], words[2:], strict=False))
    return len(set(trigrams)) / len(trigrams) if trigrams else 1.0


def interpolate(value: float, source: Range, target: Range) -> float:
    """Return a value of one range, and outside it the nearest one in it, mapped linearly onto another range."""
    low, high = source
    share = (min(max(value, low), high) - low) / (high - low) if high > low else 0.0
    return target[0] + share * (target[1] - target[0])


def copied(text: str, sources: Sequence[str], at_least: int) -> float:
    """Return the share of a text's words that are one run of words of a source.

    A run counts if it has `at_least` words or is all of the source; a short answer that a passage holds word for word
    is a quotation, not a copy.
    """
    words = text.casefold().split()
    longest = 0
    for source in sources:
        theirs = source.casefold().split()
        run = SequenceMatcher(None, words, theirs, autojunk=False).find_longest_match().size
        if run and (run >= at_least or run == len(theirs)):
            longest = max(longest, run)
    return longest / len(words) if words else 0.0
