"""Ranking metrics over the final ranking of passages (`documents`), computed by ir-measures.

Gold ids may stand for passages, pages or documents, and are matched at their own level: each ranked passage is mapped
to that level, and a unit that occurs again keeps its first rank. So with gold pages, `recall@5` looks at the first
five distinct pages, however many passages those are. Where one question has gold ids of several levels, a passage
counts for every gold unit that it belongs to, and other passages are units of the finest of these levels.
"""

import re
from collections.abc import Collection, Sequence
from typing import ClassVar, Literal

from typing_extensions import override

from ragkit.engine.registry import metrics
from ragkit.evaluation.metrics.base import Metric
from ragkit.evaluation.prediction import PredictionRow, RankedPassage
from ragkit.evaluation.questions import Question

_PASSAGE_ID = re.compile(r".\.c\d+$")
_PAGE_ID = re.compile(r".#p\d+$")


def units(passage: RankedPassage) -> tuple[str, str, str]:
    """Return the ids of the passage, of its page (the document, if it has no pages) and of its document."""
    document = passage.get("document") or passage["id"]
    number = passage.get("page")
    return passage["id"], document if number is None else f"{document}#p{number}", document


def matched(passage: RankedPassage, gold: Collection[str]) -> list[str]:
    """Return the gold ids that a passage belongs to, without repetition, from the finest level to the coarsest."""
    return [unit for unit in dict.fromkeys(units(passage)) if unit in gold]


def ranked_units(passages: Sequence[RankedPassage], gold: Collection[str]) -> list[str]:
    """Return the distinct units of ranked passages at the level of the gold ids, best first."""
    finest = min(_level(identifier) for identifier in gold)
    ranking: dict[str, None] = {}
    for passage in passages:
        ranking.update(dict.fromkeys(matched(passage, gold) or [units(passage)[finest]]))
    return list(ranking)


def _level(identifier: str) -> int:
    """Return the position in `units` at which an id of this form stands."""
    if _PASSAGE_ID.search(identifier):
        return 0
    return 1 if _PAGE_ID.search(identifier) else 2


class RankingMetric(Metric):
    """A measure of ir-measures with binary relevance; a failed question scores 0.

    A question without gold passages has no value.
    """

    needs: ClassVar[Literal["answers", "supporting_ids"] | None] = "supporting_ids"
    takes_cutoff: ClassVar[bool] = True
    measure: ClassVar[str]

    @override
    def compute(self, questions: Sequence[Question], predictions: Sequence[PredictionRow]) -> list[float | None]:
        import ir_measures

        # Positions serve as query ids and falling numbers as scores, so that neither odd ids nor ties play a part.
        qrels: dict[str, dict[str, int]] = {}
        run: dict[str, dict[str, float]] = {}
        for position, (question, prediction) in enumerate(zip(questions, predictions, strict=True)):
            if gold := frozenset(question.supporting_ids):
                ranking = [] if prediction["error"] else ranked_units(prediction["documents"], gold)
                qrels[str(position)] = dict.fromkeys(gold, 1)
                run[str(position)] = {unit: -float(rank) for rank, unit in enumerate(ranking)}
        values: list[float | None] = [None] * len(questions)
        if qrels:
            measure = ir_measures.parse_measure(f"{self.measure}@{self.cutoff}")
            for result in ir_measures.iter_calc([measure], qrels, run):
                values[int(result.query_id)] = float(result.value)
        return values


@metrics.register("recall")
class Recall(RankingMetric):
    """The share of the gold units among the first `cutoff` units."""

    name: ClassVar[str] = "recall"
    source: ClassVar[str] = "trec_eval recall_k; MacAvaney et al. 2022 (ir-measures), arXiv 2111.13466"
    measure: ClassVar[str] = "R"


@metrics.register("mrr")
class ReciprocalRank(RankingMetric):
    """1 / rank of the first gold unit, 0 if it is not among the first `cutoff`."""

    name: ClassVar[str] = "mrr"
    source: ClassVar[str] = "Voorhees 1999, the TREC-8 Question Answering Track report; ir-measures RR"
    measure: ClassVar[str] = "RR"


@metrics.register("ndcg")
class Ndcg(RankingMetric):
    """Discounted cumulative gain of the first `cutoff` units, relative to the best possible ranking."""

    name: ClassVar[str] = "ndcg"
    source: ClassVar[str] = "Järvelin and Kekäläinen 2002, doi 10.1145/582415.582418; trec_eval ndcg_cut_k"
    measure: ClassVar[str] = "nDCG"
