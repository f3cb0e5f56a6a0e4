"""Passages of questions with gold evidence: those that a set gives along with a question, and those that are found."""

import hashlib
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, cast

from ragkit.engine.controls import steps_of
from ragkit.engine.stage import Stage
from ragkit.engine.state import Documents, Passage
from ragkit.errors import InputError
from ragkit.evaluation.questions import Question
from ragkit.index.local import LocalIndex
from ragkit.tuning.calls import run_cached
from ragkit.tuning.data import BuildContext, TuningSet

CONTEXT = "context_ids"
"""Field of a question's row with the ids of the passages that its set gives along, distractors among them."""


class Retrieval(Protocol):
    """What a stage of the family `retrieve` is made of."""

    index: LocalIndex
    k: int

    def model_copy(self, *, update: dict[str, int]) -> "Retrieval": ...

    def run(self, queries: tuple[str, ...]) -> Awaitable[Documents]: ...


@dataclass(frozen=True, slots=True)
class Pool:
    """A question with passages.

    Attributes:
        origin: `found` for the question, or `given` along with it.
        passages: best first if they were found.
        gold: for each whether it belongs to the gold evidence.
    """

    question: Question
    origin: str
    passages: Documents
    gold: tuple[bool, ...]


def stages_of(opened: TuningSet, kind: type[Stage]) -> list[Stage]:
    """Return the stages of a kind in a set's pipeline, in order."""
    return [step.stage for step in steps_of(opened.pipeline.nodes) if isinstance(step.stage, kind)]


def retrieval_of(opened: TuningSet) -> Retrieval:
    """Return the first retrieval stage of a set's pipeline.

    Raises:
        InputError: it has none, or one over an index that is not ragkit's own.
    """
    for step in steps_of(opened.pipeline.nodes):
        stage = step.stage
        if stage.name.startswith("retrieve.") and isinstance(getattr(stage, "index", None), LocalIndex):
            return cast("Retrieval", stage)
    raise InputError(f"set '{opened.name}': the pipeline '{opened.pipeline.name}' has no retrieval from an index")


def pools_of(opened: TuningSet, k: int, context: BuildContext) -> list[list[Pool]]:
    """Return for each question with gold evidence k found passages, and those given with it, if there are any.

    Raises:
        InputError: the pipeline has no retrieval.
        RagkitError: every search failed.
    """
    retrieval = retrieval_of(opened)
    questions = [question for question in opened.questions if question.supporting_ids]
    deep = retrieval.model_copy(update={"k": k})
    found = run_cached(
        [partial(deep.run, (question.question,)) for question in questions], f"{opened.name}: passages", context
    )
    all_pools = []
    for question, outcome in zip(questions, found, strict=True):
        pools = [_pool(question, "found", outcome.value or ())]
        given = question.extra.get(CONTEXT)
        if isinstance(given, list):
            known = retrieval.index.passages([str(name) for name in given])
            pools.append(_pool(question, "given", [known[str(name)] for name in given if str(name) in known]))
        if filled := [pool for pool in pools if pool.passages]:
            all_pools.append(filled)
    return all_pools


def is_gold(passage: Passage, question: Question) -> bool:
    """Say whether a passage, its page or its document is gold evidence of a question."""
    document, page = passage.metadata.get("document"), passage.metadata.get("page")
    names = {passage.id, document, f"{document}#p{page}" if page else None}
    return not names.isdisjoint(question.supporting_ids)


def draw(seed: int, *names: str) -> float:
    """Return a number from 0 to 1 that depends on the seed and on names alone, not on what else is drawn."""
    digest = hashlib.sha256(" ".join((str(seed), *names)).encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def _pool(question: Question, origin: str, passages: Sequence[Passage]) -> Pool:
    return Pool(question, origin, tuple(passages), tuple(is_gold(passage, question) for passage in passages))
