"""Training data for Query Rewriter+: queries that find the gold evidence, chosen by the pipeline's own retrieval."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import ClassVar, NamedTuple

from pydantic import Field

from ragkit.engine.registry import builders
from ragkit.engine.state import Documents
from ragkit.errors import InputError
from ragkit.evaluation.questions import Question
from ragkit.evaluation.split import Part
from ragkit.stages.rewrite import RewritePlus
from ragkit.stages.rewritten import Rewritten, distinct, write_rewritten
from ragkit.tuning.builders.passages import Retrieval, is_gold, retrieval_of, stages_of
from ragkit.tuning.builders.query_candidates import candidates_of, questions_of
from ragkit.tuning.calls import run_cached
from ragkit.tuning.data import BuildContext, DataBuilder, TuningSet
from ragkit.tuning.rows import Row, SftRow

_DEEPER = 5
"""How much deeper than `k` rankings are looked at, so that it shows whether a query brings evidence nearer."""

_MOST_CANDIDATES = 40


class Chosen(NamedTuple):
    """Queries for a question.

    Attributes:
        queries: the queries.
        found: what a search for the question alone found.
        value: how well the gold evidence is found with the queries.
        alone: how well it is with the question alone.
    """

    queries: tuple[str, ...]
    found: Documents
    value: float
    alone: float


@builders.register("rewriter")
class RewriterRows(DataBuilder):
    """The prompt of the rewriter with the clarified questions and queries to write.

    The paper's pairs are of a strong chat model, cleaned by hand. Ours need no teacher: the questions are those of the
    set's decomposition, without what can only be known once the first is answered; the queries are drawn from the
    question, its decomposition, and the titles of gold passages that the question or a shown passage names. Of these
    those are taken, one after the other, that bring the gold evidence furthest up in the fused ranking. Where none
    does, the best one stands alone.

    Source: Shi et al. 2024 (ERM4), arXiv 2407.10670, for what is learned; the choice by retrieval is ragkit's.
    """

    makes: ClassVar[type[Row]] = SftRow

    k: int = Field(10, ge=1, description="gold evidence counts most if it is among so many passages")
    gain: float = Field(0.02, ge=0, description="what a further query has to add, as a share of the gold evidence")

    def build(self, part: Part, context: BuildContext) -> Sequence[Row]:
        rows: list[Row] = []
        for opened in context.sets(part):
            rows += self._rows(opened, context)
        if not rows:
            raise InputError("no row could be made: the questions have no gold evidence (supporting_ids)")
        return rows

    def _rows(self, opened: TuningSet, context: BuildContext) -> list[Row]:
        stage = _rewriter_of(opened, context.model)
        retrieval = retrieval_of(opened)
        questions = [question for question in opened.questions if question.supporting_ids]
        gold = retrieval.index.passages([name for question in questions for name in question.supporting_ids])
        titles = {
            question.id: [
                str(gold[name].metadata.get("title") or "") for name in question.supporting_ids if name in gold
            ]
            for question in questions
        }
        tasks = [partial(self.choose, stage, retrieval, question, titles[question.id]) for question in questions]
        rows: list[Row] = []
        for question, outcome in zip(questions, run_cached(tasks, f"{opened.name}: queries", context), strict=True):
            if outcome.error is not None:
                continue
            chosen: Chosen = outcome.value
            prompt = stage.render(question.question, chosen.found)
            completion = write_rewritten(Rewritten(questions_of(question), chosen.queries))
            origin = {
                "set": opened.name,
                "question": question.id,
                "queries": len(chosen.queries),
                "value": round(chosen.value, 4),
                "alone": round(chosen.alone, 4),
            }
            # A text goes on on the next line; the turn of a chat begins with the words.
            completion = f"\n{completion}" if isinstance(prompt, str) else completion
            rows.append(SftRow(prompt=prompt, completion=completion, origin=origin))
        return rows

    async def choose(
        self, stage: RewritePlus, retrieval: Retrieval, question: Question, titles: Sequence[str]
    ) -> Chosen:
        """Return the queries that bring the gold evidence of a question furthest up."""
        deep = retrieval.model_copy(update={"k": _DEEPER * self.k})
        own = await deep.run((question.question,))
        alone = self.value(own, question)
        candidates = distinct(candidates_of(question, titles, own[: stage.passages]), _MOST_CANDIDATES)
        found = await asyncio.gather(*(deep.run((query,)) for query in candidates))
        rankings = dict(zip(candidates, found, strict=True))
        fused = [own] if stage.keep_question else []
        room = stage.max_queries - len(fused)
        best, chosen = alone, list[str]()
        while rankings and len(chosen) < room:
            values = {
                query: self.value(retrieval.index.fuse([*fused, ranking], _DEEPER * self.k), question)
                for query, ranking in rankings.items()
            }
            query = max(values, key=values.__getitem__)
            if chosen and values[query] < best + self.gain:
                break
            best = values[query]
            chosen.append(query)
            fused.append(rankings.pop(query))
        return Chosen(tuple(chosen or [question.question]), own, best, alone)

    def value(self, ranking: Documents, question: Question) -> float:
        """Return how well a ranking serves: the gold passages among the first k, and a little for how high they are."""
        number = len(question.supporting_ids)
        ranks = [rank for rank, passage in enumerate(ranking, start=1) if is_gold(passage, question)]
        return sum((rank <= self.k) + 0.3 / rank for rank in ranks) / number


def _rewriter_of(opened: TuningSet, model: str) -> RewritePlus:
    """Return the rewriter of a set's pipeline that asks the model to be tuned, and writes the text form.

    Raises:
        InputError: there is none.
    """
    tuned = opened.pipeline.models[model]
    for stage in stages_of(opened, RewritePlus):
        if isinstance(stage, RewritePlus) and stage.model is tuned and stage.form == "text":
            return stage
    raise InputError(
        f"the pipeline '{opened.pipeline.name}' has no rewrite.plus with 'form: text' that asks the model '{model}'"
    )
