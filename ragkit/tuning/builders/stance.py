"""Rows for classifiers of stance: what a passage says of a claim."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from pydantic import Field

from ragkit.engine.registry import builders
from ragkit.engine.state import Passage
from ragkit.errors import InputError
from ragkit.evaluation.evidence import Evidence
from ragkit.evaluation.questions import Question
from ragkit.evaluation.split import Part
from ragkit.models.base import ENTAILMENT
from ragkit.stages.evidence_select import EvidenceSelect
from ragkit.tuning.builders.passages import draw, retrieval_of, stages_of
from ragkit.tuning.calls import run_cached, values_of
from ragkit.tuning.data import BuildContext, DataBuilder, TuningSet
from ragkit.tuning.rows import LabelRow, Row

_SUPPORTS, _NEITHER, _REFUTES = ENTAILMENT
_SPELLINGS = {
    **dict.fromkeys(("support", "supports", "supported", _SUPPORTS), _SUPPORTS),
    **dict.fromkeys(("refute", "refutes", "refuted", "contradict", "contradicts", _REFUTES), _REFUTES),
    **dict.fromkeys(("neutral", "not_enough_info", "nei", "unrelated"), _NEITHER),
}
_KNOWN_BY = 60
"""Characters by which a sentence of a passage is found again in it."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What people said of a document and a claim.

    Attributes:
        sentences: those that tell; empty where nobody pointed at any.
    """

    document: str
    label: str
    sentences: tuple[str, ...]


@builders.register("stance")
class StanceRows(DataBuilder):
    """Claims with passages that support them (entailment), refute them (contradiction) or do neither (neutral).

    A question is a claim. Its row tells the stance of each passage, `evidence: [{id, label, text: [sentences]}]`, or
    one stance for all its gold passages, `label` with `supporting_ids` or `cited_ids`, as HealthVer, SciFact and
    COVID-Fact do. Of a document that was cut, those passages have its stance that hold one of the sentences. For
    training, the sentences alone make further rows. A retrieval brings mostly passages that have nothing to do with the
    claim, so `unrelated` found ones of each claim, that nobody judged, count as neutral. Where claims of one `group`
    are true and false versions of each other, the true one refutes the false ones and supports itself: so are responses
    judged that repeat the words of a claim.
    """

    makes: ClassVar[type[Row]] = LabelRow

    sentences: bool = Field(True, description="for training, also rows of the judged sentences alone")
    versions: bool = Field(True, description="for training, also true claims as texts about the claims of their group")
    unrelated: int = Field(1, ge=0, description="for training, found and unjudged passages of each claim, as neutral")
    beyond: int = Field(10, ge=0, description="unrelated passages come from behind this rank")
    depth: int = Field(30, ge=1, description="to this rank")

    def build(self, part: Part, context: BuildContext) -> Sequence[Row]:
        rows: list[Row] = []
        for opened in context.sets(part):
            stage = _stage_of(opened, context.model)
            judged = {question.id: list(judgements(question, opened.name)) for question in opened.questions}
            with Evidence(retrieval_of(opened).index) as evidence:
                found = evidence.find({one.document for own in judged.values() for one in own})
                for question in opened.questions:
                    rows += self._judged(question, judged[question.id], found, stage, opened.name, part)
            if part == "train" and self.versions:
                rows += _versions(opened, judged)
            if part == "train" and self.unrelated:
                rows += self._unrelated(opened, judged, stage, context)
        if not rows:
            raise InputError("no row could be made: the questions tell no stance of a passage that is in the index")
        return rows

    def _judged(
        self,
        question: Question,
        judged: Sequence[Judgement],
        found: Mapping[str, list[Passage]],
        stage: EvidenceSelect,
        name: str,
        part: Part,
    ) -> Iterator[LabelRow]:
        for one in judged:
            origin = {"set": name, "question": question.id, "document": one.document}
            passages = found[one.document]
            telling = [passage for passage in passages if len(passages) == 1 or _holds(passage, one)]
            for passage in telling:
                yield _row(stage.premise(passage), question, one.label, origin | {"kind": "passage"})
            if part == "train" and self.sentences and one.sentences and passages:
                yield _row(" ".join(one.sentences), question, one.label, origin | {"kind": "sentences"})

    def _unrelated(
        self,
        opened: TuningSet,
        judged: Mapping[str, Sequence[Judgement]],
        stage: EvidenceSelect,
        context: BuildContext,
    ) -> Iterator[LabelRow]:
        retrieval = retrieval_of(opened).model_copy(update={"k": self.depth})
        tasks = [partial(retrieval.run, (question.question,)) for question in opened.questions]
        outcomes = values_of(run_cached(tasks, f"{opened.name}: passages", context), "data: passages")
        for question, documents in zip(opened.questions, outcomes, strict=True):
            known = {one.document for one in judged[question.id]}
            others = [
                passage
                for passage in documents[self.beyond :]
                if known.isdisjoint((passage.id, passage.metadata.get("document")))
            ]
            others.sort(key=lambda passage: draw(context.seed, question.id, passage.id))
            for passage in others[: self.unrelated]:
                origin = {"set": opened.name, "question": question.id, "document": passage.id, "kind": "unrelated"}
                yield _row(stage.premise(passage), question, _NEITHER, origin)


def _versions(opened: TuningSet, judged: Mapping[str, Sequence[Judgement]]) -> Iterator[LabelRow]:
    """Yield each claim that is supported as a text about itself and about the refuted claims of its group."""
    groups: dict[str, list[Question]] = {}
    for question in opened.questions:
        if group := question.extra.get("group"):
            groups.setdefault(str(group), []).append(question)
    for group, own in groups.items():
        labels = {question.id: {one.label for one in judged[question.id]} for question in own}
        for true in (question for question in own if labels[question.id] == {_SUPPORTS}):
            for other in own:
                if other is true or labels[other.id] == {_REFUTES}:
                    origin = {"set": opened.name, "question": other.id, "document": group, "kind": "version"}
                    yield _row(true.question, other, _SUPPORTS if other is true else _REFUTES, origin)


def judgements(question: Question, name: str) -> Iterator[Judgement]:
    """Yield what a question's row says of documents.

    Args:
        question: a claim.
        name: of its set, for messages.

    Raises:
        InputError: a stance has a name that is not known.
    """
    evidence = question.extra.get("evidence") or []
    judged: dict[str, Judgement] = {}
    plain: list[str] = []
    for one in evidence if isinstance(evidence, list) else []:
        if not isinstance(one, dict):
            plain.append(str(one))
            continue
        document = str(one.get("id") or one.get("doc_id"))
        before = judged[document].sentences if document in judged else ()
        sentences = (*before, *map(str, one.get("text") or ()))
        judged[document] = Judgement(document, _label(one.get("label"), question, name), sentences)
    if judged or "label" not in question.extra:
        yield from judged.values()
        return
    label = _label(question.extra["label"], question, name)
    for document in question.supporting_ids or tuple(map(str, question.extra.get("cited_ids") or ())):
        yield Judgement(document, label, tuple(plain))


def _label(said: Any, question: Question, name: str) -> str:
    label = _SPELLINGS.get(str(said).casefold())
    if label is None:
        known = ", ".join(_SPELLINGS)
        raise InputError(f"set '{name}', question '{question.id}': the stance {said!r} is none of {known}")
    return label


def _holds(passage: Passage, judged: Judgement) -> bool:
    """Say whether a passage holds one of the sentences that tell; of a neutral document all passages are neutral."""
    if judged.label == _NEITHER:
        return True
    text = " ".join(passage.page_content.split())
    return any(" ".join(sentence.split())[:_KNOWN_BY] in text for sentence in judged.sentences)


def _row(text: str, question: Question, label: str, origin: dict[str, Any]) -> LabelRow:
    return LabelRow(text=text, statement=question.question, label=label, origin=origin)


def _stage_of(opened: TuningSet, model: str) -> EvidenceSelect:
    """Return the selection of a set's pipeline that asks the model to be tuned.

    Raises:
        InputError: there is none.
    """
    tuned = opened.pipeline.models[model]
    for stage in stages_of(opened, EvidenceSelect):
        if isinstance(stage, EvidenceSelect) and stage.nli is tuned:
            return stage
    raise InputError(f"the pipeline '{opened.pipeline.name}' has no evidence.select whose nli is the model '{model}'")
