"""Oracle swaps: a stage whose output is replaced by gold, so that the head-room of a stage is a number.

The gold stays outside the state: a swapped step is a stage that was built around the gold of all questions and looks
it up by the id of the question that it is called for. The engine and the other stages see an ordinary stage.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

from ragkit.engine.controls import replace_stages, steps_of
from ragkit.engine.nodes import Step
from ragkit.engine.stage import Stage, normalise_writes
from ragkit.engine.state import Documents, Hit, Passage
from ragkit.errors import InputError, did_you_mean
from ragkit.evaluation.evidence import Evidence, holds_answer
from ragkit.evaluation.metrics.ranking import matched
from ragkit.evaluation.prediction import RankedPassage
from ragkit.evaluation.questions import Question
from ragkit.pipeline import Pipeline
from ragkit.stages.answer import cite


class OracleMisfitError(InputError):
    """A pipeline has no step that an oracle could take the place of."""


PASSAGES_READ = {"documents", "vars.context"}
READ = "read"
"""The name that stands for every step that writes the answer."""


@dataclass(frozen=True, slots=True)
class Oracle:
    """A pipeline with swapped steps.

    Attributes:
        pipeline: the same models and index, other steps.
        steps: ids of the swapped steps.
        missing: gold ids of which the index has no passage.
        untouched: questions whose gold evidence is unknown or not in the index; their steps work as always.
    """

    pipeline: Pipeline
    steps: tuple[str, ...]
    missing: tuple[str, ...]
    untouched: int


def with_oracle(pipeline: Pipeline, names: Sequence[str], questions: Sequence[Question]) -> Oracle:
    """Return the pipeline with perfect stages in some places.

    What a perfect stage writes, given what it gets:
      - `retrieve.*` and others that write `documents` without reading them: the gold passages in the index, at most
        as many as the step's `k`, taken from each gold page or document in turn;
      - `rerank.*`: as many passages as the step itself would keep, those with gold evidence first;
      - another stage that reads and writes `documents` (a filter): those with gold evidence, and no other;
      - one that writes `vars.context`: what the step itself packs when the gold evidence comes first;
      - one that reads passages and writes `answer` (`read` stands for all of these): a gold answer, if its passages
        hold all the gold evidence or the answer's words; otherwise its own answer. An unanswerable question is
        abstained on.

    Args:
        pipeline: prepared, so that its index can be looked into.
        names: step ids, names of stages, families of stages (`retrieve`) or `read`.
        questions: with their gold.

    Raises:
        InputError: a name fits no step, a step writes nothing that gold exists for, or the gold cannot be looked up
            because the index is not ragkit's own.
    """
    chosen = chosen_steps(pipeline, names)
    by_id = {question.id: question for question in questions}
    found: Mapping[str, list[Passage]] = {}
    gold_ids = list(dict.fromkeys(gold for question in questions for gold in question.supporting_ids))
    if any(_kind(step.stage) == "retrieve" for step in chosen):
        evidence = Evidence.of(pipeline.index)
        if evidence is None:
            raise InputError(
                "--oracle retrieve: gold passages are looked up in an index of type 'local'; this is another"
            )
        with evidence:
            found = evidence.find(gold_ids)
    gold = {name: _Gold(question, found) for name, question in by_id.items()}
    swaps = {step.id: _perfect(step.stage, gold) for step in chosen}
    nodes = replace_stages(pipeline.nodes, swaps)
    swapped = Pipeline(nodes, name=pipeline.name, models=pipeline.models, index=pipeline.index, run=pipeline.settings)
    return Oracle(
        pipeline=swapped,
        steps=tuple(swaps),
        missing=tuple(name for name in found if not found[name]),
        untouched=sum(not own.passages for own in gold.values()) if found else 0,
    )


def chosen_steps(pipeline: Pipeline, names: Sequence[str]) -> list[Step]:
    """Return the steps that names stand for; see `with_oracle`.

    Raises:
        InputError: a name fits no step, or a step writes nothing that gold exists for.
    """
    steps = list(steps_of(pipeline.nodes))
    chosen: dict[str, Step] = {}
    for name in names:
        fitting = [step for step in steps if _fits(step, name)]
        if not fitting:
            choices = dict.fromkeys(chain.from_iterable((s.id, s.stage.name.partition(".")[0]) for s in steps))
            choices |= dict.fromkeys([READ] if any("answer" in s.stage.writes for s in steps) else [])
            raise OracleMisfitError(
                f"--oracle {name}: no step of the pipeline is called so{did_you_mean(name, choices)} "
                f"(choose from: {', '.join(choices)})"
            )
        for step in fitting:
            if _kind(step.stage) is None:
                raise InputError(
                    f"--oracle {name}: the step '{step.id}' writes {', '.join(step.stage.writes)}; "
                    "gold is known for documents, vars.context and answer"
                )
            if _kind(step.stage) == "read" and not PASSAGES_READ & step.stage.reads.keys():
                raise OracleMisfitError(
                    f"--oracle {name}: the step '{step.id}' reads no passages, so a perfect reader would know no more"
                )
        chosen |= {step.id: step for step in fitting}
    return list(chosen.values())


def _fits(step: Step, name: str) -> bool:
    stage = step.stage
    if name == READ and "answer" in stage.writes:
        return True
    return name in (step.id, stage.name) or stage.name.startswith(f"{name}.")


def _kind(stage: Stage) -> str | None:
    """Return which perfect stage takes a stage's place."""
    family = stage.name.partition(".")[0]
    if "answer" in stage.writes:
        return "read"
    if "documents" in stage.writes:
        selects = "documents" in stage.reads and family != "retrieve"
        return ("rerank" if family == "rerank" else "filter") if selects else "retrieve"
    return "pack" if "vars.context" in stage.writes and "documents" in stage.reads else None


class _Gold:
    """What is gold for one question."""

    def __init__(self, question: Question, found: Mapping[str, list[Passage]]) -> None:
        self.question = question
        self.ids = frozenset(question.supporting_ids)
        # The most relevant first, from each page or document in turn, and first what holds the answer: a cut at k then
        # costs as little as it can.
        ids = sorted(dict.fromkeys(question.supporting_ids), key=lambda gold: -question.relevance.get(gold, 1))
        units = [
            sorted(found.get(gold, ()), key=lambda p: not holds_answer([p.page_content], question.answers))
            for gold in ids
        ]
        turns = chain.from_iterable(zip_longest(*units))
        self.passages = list({passage.id: passage for passage in turns if passage is not None}.values())

    def in_passage(self, passage: Passage) -> list[str]:
        place: RankedPassage = {"id": passage.id, "score": None, "text": ""}
        place["document"], place["page"] = passage.metadata.get("document"), passage.metadata.get("page")
        return matched(place, self.ids)

    def first(self, passages: Iterable[Passage]) -> Documents:
        """Return passages with gold evidence, then the others."""
        return tuple(sorted(passages, key=lambda passage: not self.in_passage(passage)))

    def is_told_by(self, passages: Documents) -> bool:
        """Say whether passages hold all the gold evidence or a gold answer's words."""
        held = {gold for passage in passages for gold in self.in_passage(passage)}
        if self.ids and held == self.ids:
            return True
        return any(holds_answer([passage.page_content], self.question.answers) for passage in passages)


class _Perfect(Stage):
    """Does what the original stage could do at best."""

    original: Stage


def _perfect(stage: Stage, gold: Mapping[str, _Gold]) -> Stage:
    """Return a stage that reads and writes what the original does, and the question's id."""
    kind = _kind(stage)
    replace = {"retrieve": _retrieve, "rerank": _rerank, "filter": _filter, "pack": _pack, "read": _read}[str(kind)]

    async def run(self: _Perfect, **values: Any) -> Any:
        own = gold[values["id"]]
        if "id" not in stage.reads:
            del values["id"]
        written = await replace(stage, own, values)
        return written if len(stage.writes) > 1 else written[stage.writes[0]]

    body = {"name": stage.name, "reads": {**stage.reads, "id": True}, "writes": stage.writes, "run": run}
    cls: type[_Perfect] = type(f"Perfect{type(stage).__name__}", (_Perfect,), {**body, "__module__": __name__})
    return cls(original=stage)


Values = dict[str, Any]


async def _original(stage: Stage, values: Values) -> Values:
    return normalise_writes(stage, await stage.run(**values))


async def _retrieve(stage: Stage, gold: _Gold, values: Values) -> Values:
    if not gold.passages:
        return await _original(stage, values)
    ranking = enumerate(gold.passages[: getattr(stage, "k", None)], 1)
    documents = tuple(
        passage.model_copy(update={"score": 1 / rank, "hits": (Hit("oracle", "", rank, 1 / rank),)})
        for rank, passage in ranking
    )
    others = {} if stage.writes == ("documents",) else await _original(stage, values)
    return {**others, "documents": documents}


async def _rerank(stage: Stage, gold: _Gold, values: Values) -> Values:
    written = await _original(stage, values)
    kept = written["documents"]
    known = {passage.id: passage for passage in kept}
    best = [known.get(passage.id, passage) for passage in values["documents"] if gold.in_passage(passage)]
    ranked = {passage.id: passage for passage in (*best, *kept)}
    return {**written, "documents": tuple(ranked.values())[: len(kept)]}


async def _filter(stage: Stage, gold: _Gold, values: Values) -> Values:
    if not gold.ids:
        return await _original(stage, values)
    documents = tuple(passage for passage in values["documents"] if gold.in_passage(passage))
    others = {} if stage.writes == ("documents",) else await _original(stage, values)
    return {**others, "documents": documents}


async def _pack(stage: Stage, gold: _Gold, values: Values) -> Values:
    return await _original(stage, {**values, "documents": gold.first(values["documents"])})


async def _read(stage: Stage, gold: _Gold, values: Values) -> Values:
    question = gold.question
    context: Documents | None = values.get("context")
    passages: Documents = values.get("documents", ()) if context is None else context
    if question.answerable and not (question.answers and gold.is_told_by(passages)):
        return await _original(stage, values)
    others = {} if {"answer", "citations"} >= set(stage.writes) else await _original(stage, values)
    answer = question.answers[0] if question.answerable else None
    cited = [p for p in passages if gold.in_passage(p)] or [
        p for p in passages if holds_answer([p.page_content], question.answers)
    ][:1]
    citations = tuple(cite(passage) for passage in cited) if answer is not None else ()
    return {**others, "answer": answer} | ({"citations": citations} if "citations" in stage.writes else {})
