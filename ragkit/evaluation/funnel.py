"""Where gold evidence was lost on its way from the corpus to the answer."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from ragkit.engine.controls import Branch, Each, Loop, Parallel, steps_of
from ragkit.engine.nodes import Node, Step, written_by
from ragkit.evaluation.evidence import Evidence, holds_answer
from ragkit.evaluation.metrics.ranking import matched
from ragkit.evaluation.prediction import PredictionRow, RankedPassage, abstained
from ragkit.evaluation.questions import Question
from ragkit.evaluation.traces import Digest, StageEvent

Held = frozenset[str]
"""Gold ids that are there."""

EXAMPLES = 20
"""Question ids kept for each reason of a loss."""

Kind = Literal["corpus", "index", "retrieve", "keep", "prompt", "cited", "answered"]


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
        _Traveller(question, prediction, traces.get(question.id), value)
        for question, prediction, value in zip(questions, predictions, values, strict=True)
        if question.supporting_ids
    ]
    written = written_by(nodes)
    stages = _up_to_the_index(travellers, evidence) if evidence is not None else []
    points, after = _points(nodes, "", lambda traveller: traveller.indexed)
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


class _Traveller:
    """A question on its way.

    Attributes:
        indexed: gold ids of which the index has passages; all of them where that is not known.
        after: gold ids after each step that ran, by the step's path without round numbers; only its last round.
        failed: whether such a step failed.
        packed: the passages that a step wrote to `vars.context`, None if there was no such step.
        prompt: gold ids among the passages of the reader's prompt.
        right: the metric's value.
    """

    def __init__(
        self, question: Question, prediction: PredictionRow, trace: Digest | None, right: float | None
    ) -> None:
        self.question = question
        self.prediction = prediction
        self.gold = frozenset(question.supporting_ids)
        self.indexed: Held = self.gold
        self.after: dict[str, Held] = {}
        self.failed: set[str] = set()
        self.packed: list[RankedPassage] | None = None
        self.prompt: Held = frozenset()
        self.right = right
        self._read(trace.stages if trace else ())

    def _read(self, events: Iterable[StageEvent]) -> None:
        rounds: dict[str, tuple[int, ...]] = {}
        for event in events:
            path = _INDEX.sub("", event.path)
            turn = tuple(int(number) for number in _LOOP.findall(event.path))
            if turn > rounds.get(path, ()):
                self.after.pop(path, None)
            rounds[path] = turn
            if event.failed:
                self.failed.add(path)
                self.after[path] = frozenset()
            elif event.documents is not None:
                self.after[path] = self.after.get(path, frozenset()) | self.among(event.documents)
            if event.context is not None:
                self.packed = event.context

    def among(self, passages: Iterable[RankedPassage]) -> Held:
        """Return the gold ids that passages belong to."""
        return frozenset(gold for passage in passages for gold in matched(passage, self.gold))

    @property
    def context(self) -> list[RankedPassage]:
        """The passages of the prompt, with their places."""
        if self.packed is not None:
            return self.packed
        ids = set(self.prediction["context"])
        return [passage for passage in self.prediction["documents"] if passage["id"] in ids]

    @property
    def evidence(self) -> str:
        """How much of the gold evidence was in the prompt."""
        return "all" if self.prompt == self.gold else "some" if self.prompt else "none"

    @property
    def is_right(self) -> bool:
        return self.right is not None and self.right >= 1


_INDEX = re.compile(r"\[\d+\]")
_LOOP = re.compile(r"(?:^|/)loop\[(\d+)\]")

Source = Callable[[_Traveller], Held]
"""What a question has at a place of the pipeline."""


@dataclass(frozen=True, slots=True)
class _Point:
    """A step that writes `documents`, and what stood before it."""

    path: str
    kind: Kind
    reason: str
    before: Source


def _points(nodes: Sequence[Node], scope: str, before: Source) -> tuple[list[_Point], Source]:
    """Return the steps that write `documents`, in the order of the pipeline, and what stands after the nodes."""
    points: list[_Point] = []
    for node in nodes:
        if isinstance(node, Step):
            if "documents" in node.stage.writes:
                points.append(_point(node, scope, before))
                before = _after_step(scope + node.id, before)
        elif isinstance(node, (Loop, Each)):
            inner, before = _points(node.do, f"{scope}{node.control}/", before)
            points += inner
        else:
            inner, before = _alternatives(node, scope, before)
            points += inner
    return points, before


def _point(step: Step, scope: str, before: Source) -> _Point:
    k = getattr(step.stage, "k", None)
    if "documents" not in step.stage.reads:
        return _Point(scope + step.id, "retrieve", f"rank beyond {k}" if k else "not retrieved", before)
    ranks = step.stage.name.startswith("rerank.")
    return _Point(scope + step.id, "keep", f"ranked below {k}" if ranks and k else "dropped", before)


def _after_step(path: str, before: Source) -> Source:
    return lambda traveller: traveller.after[path] if path in traveller.after else before(traveller)


def _alternatives(node: Node, scope: str, before: Source) -> tuple[list[_Point], Source]:
    """Return the points of a branch (of whose sides one runs) or of parallel branches (which are merged)."""
    if isinstance(node, Branch):
        sides = [_points(node.then, f"{scope}then/", before), _points(node.otherwise, f"{scope}else/", before)]
    elif isinstance(node, Parallel):
        chosen = node.merge.get("documents", "union")
        branches = {name: _points(do, f"{scope}{name}/", before) for name, do in node.branches.items()}
        sides = list(branches.values()) if chosen == "union" else [branches[chosen]]
    else:
        return [], before
    ran = [(frozenset(point.path for point in points), after) for points, after in sides]

    def after_all(traveller: _Traveller) -> Held:
        held = [after(traveller) for paths, after in ran if not paths.isdisjoint(traveller.after)]
        return frozenset().union(*held) if held else before(traveller)

    return [point for points, _ in sides for point in points], after_all


class _Losses:
    """Losses by their reasons."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[list[str], list[int]]] = {}

    def add(self, reason: str, traveller: _Traveller, units: int) -> None:
        ids, counts = self._found.setdefault(reason, ([], []))
        ids.append(traveller.question.id)
        counts.append(units)

    def listed(self) -> list[Loss]:
        losses = [Loss(reason, len(ids), sum(units), ids[:EXAMPLES]) for reason, (ids, units) in self._found.items()]
        return sorted(losses, key=lambda loss: -loss.units)


def _stage(
    stage: str,
    kind: Kind,
    travellers: Sequence[_Traveller],
    before: Source,
    after: Source,
    reason: Callable[[_Traveller, str], str],
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


def _up_to_the_index(travellers: Sequence[_Traveller], evidence: Evidence) -> list[FunnelStage]:
    found = evidence.find(gold for traveller in travellers for gold in sorted(traveller.gold))
    known = {gold for gold in found if found[gold] or evidence.has_document(gold)}
    for traveller in travellers:
        traveller.indexed = frozenset(gold for gold in traveller.gold if found[gold])
    answers = sum(
        holds_answer(
            "\n".join(p.page_content for gold in traveller.gold for p in found[gold]), traveller.question.answers
        )
        for traveller in travellers
    )

    def in_corpus(traveller: _Traveller) -> Held:
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


def _follow(point: _Point, travellers: Sequence[_Traveller]) -> FunnelStage:
    def reason(traveller: _Traveller, _: str) -> str:
        if point.path not in traveller.failed:
            return point.reason
        return "failed" if traveller.prediction["error"] else "ended by a budget"

    ran = sum(point.path in traveller.after for traveller in travellers)
    after = _after_step(point.path, point.before)
    return _stage(point.path, point.kind, travellers, point.before, after, reason, ran)


def _prompt(
    travellers: Sequence[_Traveller],
    before: Source,
    evidence: Evidence | None,
    upstream: frozenset[str],
    readers: frozenset[str],
) -> FunnelStage:
    """Look into the prompts; `upstream` are the paths of the steps that write `documents`, `readers` ids of readers."""
    answers = 0
    for traveller in travellers:
        error = traveller.prediction["error"]
        if (error and error["stage"].rpartition("/")[2] not in readers) or upstream & traveller.failed:
            continue  # it never came to a reader
        context = traveller.context
        traveller.prompt = traveller.among(context)
        texts = {passage["id"]: passage["text"] for passage in traveller.prediction["documents"]}
        unknown = [passage["id"] for passage in context if passage["id"] not in texts]
        if unknown and evidence is not None:
            texts |= {name: passage.page_content for name, passage in evidence.get(unknown).items()}
        text = "\n".join(texts.get(passage["id"], "") for passage in context)
        answers += holds_answer(text, traveller.question.answers)

    def reason(traveller: _Traveller, _: str) -> str:
        if traveller.prediction["error"]:
            return "failed"
        if not upstream:
            return "nothing is retrieved"
        return "left out of the prompt" if traveller.packed is not None else "not handed to the reader"

    return _stage("prompt", "prompt", travellers, before, lambda t: t.prompt, reason, answers=answers)


def _cited(travellers: Sequence[_Traveller]) -> FunnelStage:
    def cited(traveller: _Traveller) -> Held:
        ids = {citation["passage"] for citation in traveller.prediction["citations"]}
        places = {passage["id"]: passage for passage in [*traveller.prediction["documents"], *traveller.context]}
        return traveller.among(places[name] for name in ids if name in places)

    def reason(traveller: _Traveller, _: str) -> str:
        if traveller.prediction["error"]:
            return "failed"
        return "abstained" if abstained(traveller.prediction) else "not cited"

    return _stage("cited", "cited", travellers, lambda t: t.prompt, cited, reason)


def _answered(travellers: Sequence[_Traveller]) -> FunnelStage:
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
