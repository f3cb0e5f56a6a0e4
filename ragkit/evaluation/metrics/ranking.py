"""Ranking metrics over the final ranking of passages (`documents`), computed by ir-measures.

Gold ids may stand for passages, pages or documents, and are matched at their own level: each ranked passage is mapped
to that level, and a unit that occurs again keeps its first rank. So with gold pages, `recall@5` looks at the first
five distinct pages, however many passages those are. Where one question has gold ids of several levels, a passage
counts for every gold unit that it belongs to, and other passages are units of the finest of these levels. With `pages.`
before its name, a metric looks at pages (or documents, where there are none) whatever the gold ids stand for.

Graded relevance (`relevance` of a question, as in TREC's qrels) is used where the question has it; a page takes the
highest grade of its passages.
"""

import re
from abc import abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from ragkit.engine.registry import metrics
from ragkit.evaluation.metrics.base import Metric, Needs
from ragkit.evaluation.prediction import PredictionRow, RankedPassage
from ragkit.evaluation.questions import Question

PAGES = "pages."

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


def gold_grades(question: Question, pages: bool = False) -> dict[str, int]:
    """Return the grade of each gold unit of a question; empty if none of them is relevant."""
    grades = dict(question.relevance) or dict.fromkeys(question.supporting_ids, 1)
    if pages:
        of_pages: dict[str, int] = {}
        for identifier, grade in grades.items():
            page = identifier.rpartition(".c")[0] if _PASSAGE_ID.search(identifier) else identifier
            of_pages[page] = max(grade, of_pages.get(page, grade))
        grades = of_pages
    return grades if any(grade > 0 for grade in grades.values()) else {}


@dataclass(frozen=True)
class RankingMetric(Metric):
    """A measure of ir-measures; a failed question and an empty ranking score 0.

    A question without gold passages has no value.
    """

    needs: ClassVar[Needs | None] = "supporting_ids"
    takes_cutoff: ClassVar[bool] = True

    pages: bool = False

    @abstractmethod
    def measure(self) -> str:
        """Return the measure as ir-measures writes it."""

    @override
    def compute(self, questions: Sequence[Question], predictions: Sequence[PredictionRow]) -> list[float | None]:
        import ir_measures

        # Positions serve as query ids and falling numbers as scores, so that neither odd ids nor ties play a part.
        qrels: dict[str, dict[str, int]] = {}
        run: dict[str, dict[str, float]] = {}
        values: list[float | None] = [None] * len(questions)
        measure = ir_measures.parse_measure(self.measure())
        for position, (question, prediction) in enumerate(zip(questions, predictions, strict=True)):
            if grades := gold_grades(question, self.pages):
                ranking = [] if prediction["error"] else ranked_units(prediction["documents"], grades)
                if ranking:
                    qrels[str(position)] = grades
                    run[str(position)] = {unit: -float(rank) for rank, unit in enumerate(ranking)}
                elif measure.NAME != "Judged":  # of nothing, no share is judged
                    values[position] = 0.0
        if qrels:
            for result in ir_measures.iter_calc([measure], qrels, run):
                values[int(result.query_id)] = float(result.value)
        return values

    def __str__(self) -> str:
        return f"{PAGES if self.pages else ''}{self.name}@{self.cutoff}"


@metrics.register("recall")
class Recall(RankingMetric):
    """The share of the gold units among the first `cutoff` units."""

    name: ClassVar[str] = "recall"
    source: ClassVar[str] = "trec_eval recall_k; MacAvaney et al. 2022 (ir-measures), arXiv 2111.13466"

    @override
    def measure(self) -> str:
        return f"R@{self.cutoff}"


@metrics.register("mrr")
class ReciprocalRank(RankingMetric):
    """1 / rank of the first gold unit, 0 if it is not among the first `cutoff`."""

    name: ClassVar[str] = "mrr"
    source: ClassVar[str] = "Voorhees 1999, the TREC-8 Question Answering Track report; ir-measures RR"

    @override
    def measure(self) -> str:
        return f"RR@{self.cutoff}"


@metrics.register("ndcg")
class Ndcg(RankingMetric):
    """Discounted cumulative gain of the first `cutoff` units, relative to the best possible ranking."""

    name: ClassVar[str] = "ndcg"
    source: ClassVar[str] = "Järvelin and Kekäläinen 2002, doi 10.1145/582415.582418; trec_eval ndcg_cut_k"

    @override
    def measure(self) -> str:
        return f"nDCG@{self.cutoff}"
