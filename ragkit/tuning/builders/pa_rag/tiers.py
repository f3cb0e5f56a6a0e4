"""Sort the passages of every question into tiers: golden, relevant and irrelevant."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from ragkit.engine.controls import steps_of
from ragkit.engine.run import Asked
from ragkit.engine.state import Documents, Passage
from ragkit.errors import InputError
from ragkit.evaluation.evidence import Evidence, holds_answer
from ragkit.evaluation.questions import Question
from ragkit.pipeline import Pipeline
from ragkit.tuning.builders.pa_rag.scenarios import MOST_GOLDEN, Tiers, draw_for
from ragkit.tuning.builders.pa_rag.slots import Slots, cover, filled
from ragkit.tuning.data import BuildContext, TuningSet

Golden = Literal["supporting", "answers"]
NOISE = 2
"""Relevant and irrelevant passages of a question, each."""
_OTHERS = 10
"""Other questions among whose passages irrelevant ones are looked for."""


def tiers_of(
    opened: TuningSet,
    slots: Mapping[str, Slots],
    golden: Golden,
    depth: int,
    context: BuildContext,
    dropped: Counter[str],
) -> dict[str, Tiers]:
    """Return the tiers of the questions that have golden passages, by id.

    Args:
        opened: the set.
        slots: of the questions to sort for, by id.
        golden: `supporting` takes the passages that the set names as evidence; `answers`, as in the paper, those among
            the found ones that hold short answers: first a greedy cover of all slots, then further ones by rank.
        depth: how many passages are searched for.
        context: the build's.
        dropped: counts the questions without, and why.
    """
    questions = [question for question in opened.questions if question.id in slots]
    found = _search(opened.pipeline, questions, depth, context, dropped)
    gold = _supporting(opened.pipeline, questions, found) if golden == "supporting" else {}
    others = sorted(found)
    tiers = {}
    for question in questions:
        if question.id not in found:
            continue
        ranking, own = found[question.id], slots[question.id]
        chosen = gold.get(question.id, ()) if golden == "supporting" else _holding(ranking, own)
        if not chosen:
            dropped["no golden passages"] += 1
            continue
        # A corpus may hold a text twice; a copy of a golden passage under another id is no noise.
        known = {passage.id for passage in chosen} | {p.page_content for p in chosen} | set(question.supporting_ids)
        noise = [p for p in ranking if not known & {p.id, p.page_content} and not any(filled(p.page_content, own))]
        irrelevant = _irrelevant(question, own, found, others, context.seed)
        tiers[question.id] = Tiers(tuple(chosen), tuple(noise[:NOISE]), tuple(irrelevant))
    return tiers


def _search(
    pipeline: Pipeline, questions: Sequence[Question], depth: int, context: BuildContext, dropped: Counter[str]
) -> dict[str, Documents]:
    """Return the ranking of each question by the pipeline's first search, asked for more passages."""
    searches = (
        step.stage
        for step in steps_of(pipeline.nodes)
        if "documents" in step.stage.writes
        and "documents" not in step.stage.reads
        and "k" in type(step.stage).model_fields
    )
    search = next(searches, None)
    if search is None:
        raise InputError(f"pipeline '{pipeline.name}' has no stage that searches for k passages")
    deep = search.model_copy(update={"k": depth})
    alone = Pipeline([deep], name=pipeline.name, models=pipeline.models, index=pipeline.index, run=pipeline.settings)
    asked = [Asked(question.id, question.question, question.vars) for question in questions]
    predictions = alone.predict(asked, on_progress=context.on_progress)
    dropped["the search failed"] += sum(prediction.error is not None for prediction in predictions)
    return {prediction.id: prediction.documents for prediction in predictions if prediction.error is None}


def _supporting(
    pipeline: Pipeline, questions: Sequence[Question], found: Mapping[str, Documents]
) -> dict[str, Documents]:
    """Return the gold passages of each question, those that were found first and in that order.

    Of a gold page or document of several passages, the one that holds the answer stands for it, else the first.
    """
    evidence = Evidence.of(pipeline.index)
    if evidence is None:
        raise InputError("golden: supporting: gold passages are looked up in an index of type 'local'; this is another")
    with evidence:
        known = evidence.find(gold for question in questions for gold in question.supporting_ids)
    chosen = {}
    for question in questions:
        units = (known[gold] for gold in dict.fromkeys(question.supporting_ids))
        best = [min(own, key=lambda p: not holds_answer([p.page_content], question.answers)) for own in units if own]
        ranks = {passage.id: rank for rank, passage in enumerate(found.get(question.id, ()))}
        best.sort(key=lambda passage: ranks.get(passage.id, len(ranks)))
        chosen[question.id] = tuple({passage.id: passage for passage in best}.values())[:MOST_GOLDEN]
    return chosen


def _holding(ranking: Documents, slots: Slots) -> Documents:
    """Return passages that together fill all slots, and further ones that fill any; none if a slot stays open.

    Nor are there any for yes and no, which passages hold without answering anything.
    """
    if any({alias.lower() for alias in aliases} <= {"yes", "no"} for aliases in slots):
        return ()
    texts = [passage.page_content for passage in ranking]
    covering = cover(texts, slots)
    further = (n for n, text in enumerate(texts) if n not in covering and any(filled(text, slots)))
    chosen = sorted([*covering, *further][:MOST_GOLDEN]) if covering else []
    return tuple(ranking[position] for position in chosen)


def _irrelevant(
    question: Question, slots: Slots, found: Mapping[str, Documents], others: Sequence[str], seed: int
) -> list[Passage]:
    """Return passages found for other questions, not for this one, and without an answer to it."""
    own = {passage.id for passage in found[question.id]} | set(question.supporting_ids)
    draw = draw_for(seed, question.id, "irrelevant")
    chosen: dict[str, Passage] = {}
    for other in draw.sample(others, min(len(others), _OTHERS)):
        far = (p for p in found[other] if p.id not in own and not any(filled(p.page_content, slots)))
        best = next(far, None) if other != question.id else None
        if best is not None and len(chosen) < NOISE:
            chosen[best.id] = best
    return list(chosen.values())
