"""Where gold evidence was lost on its way from the corpus to the answer."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from ragkit.engine.controls import steps_of
from ragkit.engine.nodes import Node, written_by
from ragkit.evaluation.evidence import Evidence, holds_answer
from ragkit.evaluation.prediction import PredictionRow, abstained
from ragkit.evaluation.questions import Question
from ragkit.evaluation.route import Kind, Point, after_step, points_of
from ragkit.evaluation.traces import Digest
from ragkit.evaluation.traveller import Held, Source, Traveller

EXAMPLES = 20
"""Question ids kept for each reason of a loss."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Gold evidence that was there before a stage and not after it, for one reason.

    Attributes:
        reason: why, in words: `not in the index`, `rank beyond 5`, `dropped`, `left out of the prompt` ...
        questions: questions that lost evidence this way.
        units: gold passages, pages or documents that were lost (for `answered`, the questions again).
        examples: ids of the first questions.
    """

    reason: str
    questions: int
    units: int
    examples: list[str]


@dataclass(frozen=True, slots=True)
class FunnelStage:
    """What was left of the gold evidence after one stage.

    Attributes:
        stage: `corpus`, `index`, a step's path without its round numbers (`loop/retrieve.dense`), `prompt`, `cited`
            or `answered`.
        kind: `corpus` (the document is among those of the index), `index` (it was cut into passages that hold the
            gold passage, page or document), `retrieve` (a step that writes `documents` without reading them), `keep`
            (one that reads and writes them: filter, reranker ...), `prompt`, `cited`, `answered`.
        questions: questions that are counted here, the same for all stages but `answered`.
        ran: those for which the stage ran; the others keep what they had before.
        all: questions with all of their gold evidence after the stage; of `answered`, right ones.
        some: questions with some of it, but not all.
        units: gold passages, pages or documents of all questions together that are there after the stage.
        gained: those of them that were not there before it (a later round of a loop, a second retriever); of
            `answered`, right answers without any of their evidence in the prompt.
        answers: questions with a gold answer, as whole words, in the gold passages (`index`) or in any passage
            (`prompt`); None for other stages.
        losses: why evidence was lost here, the most frequent reason first.
    """

    stage: str
    kind: Kind
    questions: int
    ran: int
    all: int
    some: int
    units: int
    gained: int
    answers: int | None
    losses: list[Loss]


@dataclass(frozen=True, slots=True)
class Rightness:
    """How many of some questions were answered right."""

    questions: int
    right: int


@dataclass(frozen=True, slots=True)
class Funnel:
    """The way of the gold evidence through a run; `funnel.json` holds exactly this.

    Attributes:
        questions: questions with gold evidence, the only ones that are looked at.
        units: their gold passages, pages and documents together.
        metric: the metric that calls an answer right (a value of 1); None where no answers are judged.
        stages: in the order of the pipeline. Every gold id counts once for each question that needs it.
        by_evidence: how many questions were answered right with `all`, `some` or `none` of their evidence in the
            prompt; empty where no answers are judged.
    """

    questions: int
    units: int
    metric: str | None
    stages: list[FunnelStage]
    by_evidence: dict[str, Rightness]

    def to_json(self) -> str:
        """Return the text of `funnel.json`."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


def funnel(
    nodes: Sequence[Node],
    questions: Sequence[Question],
    predictions: Sequence[PredictionRow],
    traces: Mapping[str, Digest],
    *,
    evidence: Evidence | None = None,
    right: tuple[str, Sequence[float | None]] | None = None,
) -> Funnel:
    """Follow the gold evidence of each question through the steps that write `documents`, to the answer.

    Args:
        nodes: the pipeline.
        questions: what was asked.
        predictions: one for each question, in their order.
        traces: by question id.
        evidence: the index, for the stages `corpus` and `index`; without it they are left out.
        right: the metric that calls answers right and its value for each question.
    """
    values = right[1] if right else [None] * len(questions)
    travellers = [
        Traveller(question, prediction, traces.get(question.id), value)
        for question, prediction, value in zip(questions, predictions, values, strict=True)
        if question.supporting_ids
    ]
    written = written_by(nodes)
    stages = _up_to_the_index(travellers, evidence) if evidence is not None else []
    points, after = points_of(nodes, "", lambda traveller: traveller.indexed)
    stages += [_follow(point, travellers) for point in points]
    readers = frozenset(step.id for step in steps_of(nodes) if "answer" in step.stage.writes)
    stages.append(_prompt(travellers, after, evidence, frozenset(point.path for point in points), readers))
    if "citations" in written:
        stages.append(_cited(travellers))
    by_evidence = {}
    judged = [traveller for traveller in travellers if traveller.right is not None and "answer" in written]
    if judged:
        stages.append(_answered(judged))
        for share in ("all", "some", "none"):
            members = [traveller.is_right for traveller in judged if traveller.evidence == share]
            by_evidence[share] = Rightness(len(members), sum(members))
    units = sum(len(traveller.gold) for traveller in travellers)
    return Funnel(len(travellers), units, right[0] if right and judged else None, stages, by_evidence)


class _Losses:
    """Losses by their reasons."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[list[str], list[int]]] = {}

    def add(self, reason: str, traveller: Traveller, units: int) -> None:
        ids, counts = self._found.setdefault(reason, ([], []))
        ids.append(traveller.question.id)
        counts.append(units)

    def listed(self) -> list[Loss]:
        losses = [Loss(reason, len(ids), sum(units), ids[:EXAMPLES]) for reason, (ids, units) in self._found.items()]
        return sorted(losses, key=lambda loss: -loss.units)


def _stage(
    stage: str,
    kind: Kind,
    travellers: Sequence[Traveller],
    before: Source,
    after: Source,
    reason: Callable[[Traveller, str], str],
    ran: int | None = None,
    answers: int | None = None,
) -> FunnelStage:
    """Count what the questions have after a stage; `reason` says why a gold id that was there before is not."""
    losses = _Losses()
    counts = dict.fromkeys(("all", "some", "units", "gained"), 0)
    for traveller in travellers:
        had, has = before(traveller), after(traveller)
        counts["all"] += has == traveller.gold
        counts["some"] += bool(has) and has != traveller.gold
        counts["units"] += len(has)
        counts["gained"] += len(has - had)
        reasons: dict[str, int] = {}
        for gold in had - has:
            why = reason(traveller, gold)
            reasons[why] = reasons.get(why, 0) + 1
        for why, units in sorted(reasons.items()):
            losses.add(why, traveller, units)
    questions = len(travellers)
    return FunnelStage(
        stage, kind, questions, questions if ran is None else ran, answers=answers, losses=losses.listed(), **counts
    )


def _up_to_the_index(travellers: Sequence[Traveller], evidence: Evidence) -> list[FunnelStage]:
    found = evidence.find(gold for traveller in travellers for gold in sorted(traveller.gold))
    known = {gold for gold in found if found[gold] or evidence.has_document(gold)}
    for traveller in travellers:
        traveller.indexed = frozenset(gold for gold in traveller.gold if found[gold])
    answers = sum(
        holds_answer(
            [p.page_content for gold in sorted(traveller.gold) for p in found[gold]], traveller.question.answers
        )
        for traveller in travellers
    )

    def in_corpus(traveller: Traveller) -> Held:
        return traveller.gold & known

    return [
        _stage("corpus", "corpus", travellers, lambda t: t.gold, in_corpus, lambda *_: "not among the documents"),
        _stage(
            "index",
            "index",
            travellers,
            in_corpus,
            lambda t: t.indexed,
            lambda *_: "no text of it in the index",
            answers=answers,
        ),
    ]


def _follow(point: Point, travellers: Sequence[Traveller]) -> FunnelStage:
    def reason(traveller: Traveller, _: str) -> str:
        if point.path not in traveller.failed:
            return point.reason
        return "failed" if traveller.prediction["error"] else "ended by a budget"

    ran = sum(point.path in traveller.after for traveller in travellers)
    after = after_step(point.path, point.before)
    return _stage(point.path, point.kind, travellers, point.before, after, reason, ran)


def _prompt(
    travellers: Sequence[Traveller],
    before: Source,
    evidence: Evidence | None,
    upstream: frozenset[str],
    readers: frozenset[str],
) -> FunnelStage:
    """Look into the prompts; `upstream` are the paths of the steps that write `documents`, `readers` ids of readers."""

    def came(traveller: Traveller) -> bool:
        """Say whether a question came to a reader; without readers, whether it came to the end."""
        error = traveller.prediction["error"]
        if (error and error["stage"].rpartition("/")[2] not in readers) or upstream & traveller.failed:
            return False
        return not readers or traveller.ran is None or not readers.isdisjoint(traveller.ran)

    answers = 0
    for traveller in travellers:
        if not came(traveller):
            continue
        context = traveller.context
        traveller.prompt = traveller.among(context)
        texts = {passage["id"]: passage["text"] for passage in traveller.prediction["documents"]}
        unknown = [passage["id"] for passage in context if passage["id"] not in texts]
        if unknown and evidence is not None:
            texts |= {name: passage.page_content for name, passage in evidence.get(unknown).items()}
        answers += holds_answer([texts.get(passage["id"], "") for passage in context], traveller.question.answers)

    def reason(traveller: Traveller, _: str) -> str:
        if traveller.prediction["error"]:
            return "failed"
        if not upstream:
            return "nothing is retrieved"
        if not came(traveller) and any(name.startswith("budget:") for name in traveller.prediction["flags"]):
            return "ended by a budget"
        return "left out of the prompt" if traveller.packed is not None else "not handed to the reader"

    return _stage("prompt", "prompt", travellers, before, lambda t: t.prompt, reason, answers=answers)


def _cited(travellers: Sequence[Traveller]) -> FunnelStage:
    def cited(traveller: Traveller) -> Held:
        ids = {citation["passage"] for citation in traveller.prediction["citations"]}
        places = {passage["id"]: passage for passage in [*traveller.prediction["documents"], *traveller.context]}
        return traveller.among(places[name] for name in ids if name in places)

    def reason(traveller: Traveller, _: str) -> str:
        if traveller.prediction["error"]:
            return "failed"
        return "abstained" if abstained(traveller.prediction) else "not cited"

    return _stage("cited", "cited", travellers, lambda t: t.prompt, cited, reason)


def _answered(travellers: Sequence[Traveller]) -> FunnelStage:
    losses = _Losses()
    for traveller in travellers:
        if traveller.is_right:
            continue
        if traveller.prediction["error"]:
            losses.add("failed", traveller, 1)
        else:
            what = "abstained" if abstained(traveller.prediction) else "wrong"
            losses.add(f"{what} with {_IN_WORDS[traveller.evidence]} in the prompt", traveller, 1)
    right = sum(traveller.is_right for traveller in travellers)
    without = sum(traveller.is_right and not traveller.prompt for traveller in travellers)
    count = len(travellers)
    return FunnelStage("answered", "answered", count, count, right, 0, right, without, None, losses.listed())


_IN_WORDS = {"all": "all the evidence", "some": "a part of the evidence", "none": "no evidence"}
