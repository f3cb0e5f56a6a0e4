"""How near an answer is to the gold answer in meaning, as an encoder sees it."""

import asyncio

import numpy as np

from ragkit.engine.registry import judges
from ragkit.errors import RagkitError
from ragkit.evaluation.judges.base import Judge, Judgement, NameOf, settled
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question
from ragkit.models.base import Encoder


@judges.register("semantic_similarity")
class SemanticSimilarity(Judge):
    """Cosine of the answer and the gold answer nearest to it; a negative one counts 0.

    Source: SemScore, Aynetdinov and Akbik 2024, arXiv 2401.17072.
    """

    encoder: Encoder

    def figures(self, name_of: NameOf) -> tuple[str, ...]:
        return ("",)

    async def judge(self, question: Question, prediction: PredictionRow, name_of: NameOf) -> Judgement:
        known, value = settled(question, prediction, needs_gold=True)
        if known:
            return Judgement({"": value})
        # Both are texts of the same kind: neither is a query for the other.
        texts = [prediction["answer"] or "", *question.answers]
        vectors = await asyncio.gather(*(self.encoder.embed(text, "passage") for text in texts))
        answer, *golds = (vector.astype(np.float64) for vector in vectors)
        lengths = [float(np.linalg.norm(answer) * np.linalg.norm(gold)) for gold in golds]
        if not any(lengths) or not np.isfinite(lengths).all():
            raise RagkitError("the encoder gives these texts no direction, so they have no cosine")
        cosines = [float(answer @ gold) / length for gold, length in zip(golds, lengths, strict=True) if length]
        nearest = min(1.0, max(cosines))
        return Judgement({"": max(0.0, nearest)}, details={"cosine": nearest})
