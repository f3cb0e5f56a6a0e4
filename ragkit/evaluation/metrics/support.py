"""What the answer cites against the gold evidence: HotpotQA's supporting facts, on whatever units the gold ids name.

Where gold ids are sentences and the pipeline cites sentences, these are HotpotQA's own metrics; where they are
passages, pages or documents, a citation counts for the gold unit that it belongs to, as in the ranking metrics. Citing
nothing is an empty prediction.
"""

from abc import abstractmethod
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from ragkit.engine.registry import metrics
from ragkit.evaluation.metrics.answers import HOTPOT, ExactMatch, HotpotF1, harmonic, normalise, overlap
from ragkit.evaluation.metrics.base import Needs, PerQuestion
from ragkit.evaluation.metrics.ranking import gold_grades, ranked_units
from ragkit.evaluation.prediction import CitedPassage, PredictionRow, RankedPassage
from ragkit.evaluation.questions import Question


def cited_passages(prediction: PredictionRow) -> list[RankedPassage]:
    """Return what an answer cites, each passage once, with the document and page that the ranking knows of it."""
    known = {passage["id"]: passage for passage in prediction["documents"]}
    cited: dict[str, RankedPassage] = {}
    for citation in prediction["citations"]:
        name = citation["passage"]
        unknown: RankedPassage = {"id": name, "score": None, "text": "", "document": citation["source"]}
        cited[name] = known.get(name) or unknown | {"page": citation["page"]}  # type: ignore[assignment]
    return list(cited.values())


def support(prediction: PredictionRow, gold: Collection[str]) -> tuple[float, float]:
    """Return precision and recall of the cited units."""
    return overlap(Counter(ranked_units(cited_passages(prediction), gold)), Counter(gold))


class SupportMetric(PerQuestion):
    """A measure of the cited units; a failed question scores 0, one without gold evidence has no value."""

    source: ClassVar[str] = HOTPOT
    needs: ClassVar[Needs | None] = "supporting_ids"

    @override
    def score(self, question: Question, prediction: PredictionRow) -> float | None:
        gold = [unit for unit, grade in gold_grades(question).items() if grade > 0]
        if not gold or not self.applies(question):
            return None
        return 0.0 if prediction["error"] else self.value(question, prediction, *support(prediction, gold))

    def applies(self, question: Question) -> bool:
        """Say whether the metric says something about a question that has gold evidence."""
        return True

    @abstractmethod
    def value(self, question: Question, prediction: PredictionRow, precision: float, recall: float) -> float:
        """Return the value for the precision and recall of the cited units."""


@metrics.register("support_precision")
class SupportPrecision(SupportMetric):
    """The share of the cited units that are gold; with gold pages, how often a citation opens a right page."""

    name: ClassVar[str] = "support_precision"

    @override
    def value(self, question: Question, prediction: PredictionRow, precision: float, recall: float) -> float:
        return precision


@metrics.register("support_recall")
class SupportRecall(SupportMetric):
    """The share of the gold units that are cited."""

    name: ClassVar[str] = "support_recall"

    @override
    def value(self, question: Question, prediction: PredictionRow, precision: float, recall: float) -> float:
        return recall


@metrics.register("support_f1")
class SupportF1(SupportMetric):
    """F1 of the cited units (`sp_f1`)."""

    name: ClassVar[str] = "support_f1"

    @override
    def value(self, question: Question, prediction: PredictionRow, precision: float, recall: float) -> float:
        return harmonic(precision, recall)


@metrics.register("support_em")
class SupportExactMatch(SupportMetric):
    """1 if exactly the gold units are cited (`sp_em`)."""

    name: ClassVar[str] = "support_em"

    @override
    def value(self, question: Question, prediction: PredictionRow, precision: float, recall: float) -> float:
        return float(precision == recall == 1)


class JointMetric(SupportMetric):
    """A measure of the answer and of the cited units together; a question without gold answers has no value."""

    @override
    def applies(self, question: Question) -> bool:
        return bool(question.answers) or not question.answerable


@metrics.register("joint_em")
class JointExactMatch(JointMetric):
    """1 if the answer is exact and exactly the gold units are cited; needs gold answers too."""

    name: ClassVar[str] = "joint_em"

    @override
    def value(self, question: Question, prediction: PredictionRow, precision: float, recall: float) -> float:
        return float(ExactMatch().score(question, prediction) == precision == recall == 1)


@metrics.register("joint_f1")
class JointF1(JointMetric):
    """F1 of the products of the answer's and the citations' precision and recall; needs gold answers too.

    Of several gold answers, the one that makes the value largest counts. An abstention on an unanswerable question has
    precision and recall 1, any answer to it 0.
    """

    name: ClassVar[str] = "joint_f1"

    @override
    def value(self, question: Question, prediction: PredictionRow, precision: float, recall: float) -> float:
        answer = normalise(prediction["answer"] or "")
        if not question.answerable:
            return 0.0 if answer else harmonic(precision, recall)
        pairs = [HotpotF1().precision_and_recall(answer, gold) for gold in map(normalise, question.answers)]
        return max(harmonic(p * precision, r * recall) for p, r in pairs)


@metrics.register("cited_page")
@dataclass(frozen=True)
class CitedPage(PerQuestion):
    """The share of the citations that name a page of the gold evidence; gold passages stand for their pages.

    An answer without citations and a failure score 0. An abstention, and a question without gold pages, have no value.
    """

    name: ClassVar[str] = "cited_page"
    source: ClassVar[str] = "ragkit"
    needs: ClassVar[Needs | None] = "supporting_ids"

    @override
    def score(self, question: Question, prediction: PredictionRow) -> float | None:
        gold = {unit for unit, grade in gold_grades(question, pages=True).items() if grade > 0 and "#p" in unit}
        if not gold or (not prediction["error"] and not (prediction["answer"] or "").strip()):
            return None
        if prediction["error"] or not prediction["citations"]:
            return 0.0
        good = [self.counts(citation, page_of(citation, prediction["documents"]) in gold)
                for citation in prediction["citations"]]  # fmt: skip
        return sum(good) / len(good)

    def counts(self, citation: CitedPassage, on_gold_page: bool) -> bool:
        """Say whether a citation is correct."""
        return on_gold_page


@metrics.register("cited_box")
@dataclass(frozen=True)
class CitedBox(CitedPage):
    """As `cited_page`, of citations that also say where on the page: a box with a width and a height.

    Whether the box encloses the right words needs gold boxes, which no question set here has.
    """

    name: ClassVar[str] = "cited_box"

    @override
    def counts(self, citation: CitedPassage, on_gold_page: bool) -> bool:
        box = citation.get("box")
        return on_gold_page and box is not None and box[0] < box[2] and box[1] < box[3]


def page_of(citation: CitedPassage, documents: Sequence[RankedPassage]) -> str:
    """Return the id of the page that a citation names; the document's, if it has no pages."""
    document = next((p.get("document") for p in documents if p["id"] == citation["passage"]), None)
    return f"{document or citation['source']}#p{citation['page']}"
