"""Rows for encoders and rerankers: queries with passages that serve them, and with hard ones that do not."""

import asyncio
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from ragkit.engine.cache import project_cache
from ragkit.engine.controls import steps_of
from ragkit.engine.registry import builders
from ragkit.engine.state import Documents, Passage
from ragkit.engine.tasks import Task, run_tasks
from ragkit.errors import InputError
from ragkit.evaluation.evidence import Evidence, holds_answer
from ragkit.evaluation.split import Part
from ragkit.index.fields import SearchField, searched_text
from ragkit.index.folder import PASSAGES, current_build
from ragkit.index.local import LocalIndex
from ragkit.index.store import PassageStore
from ragkit.models.base import Encoder, Reranker
from ragkit.pipeline import Pipeline
from ragkit.stages.rerank import RerankCrossEncoder
from ragkit.tuning.builders.self_supervised import Kind, free_queries
from ragkit.tuning.calls import values_of
from ragkit.tuning.data import BuildContext, Copies, DataBuilder, TuningSet
from ragkit.tuning.rows import RankingRow, Row


@dataclass(frozen=True, slots=True)
class Query:
    """A query and what is known of it.

    Attributes:
        id: of the question, or of the passage that the query was taken from.
        relevant: what serves it, each with id and text: a gold passage, or the pieces that it was cut into.
        answers: texts whose presence makes a passage relevant.
    """

    kind: Kind
    id: str
    text: str
    relevant: tuple[tuple[tuple[str, str], ...], ...]
    answers: tuple[str, ...] = ()

    @property
    def gold(self) -> frozenset[str]:
        """The ids of passages that are never negatives."""
        return frozenset(name for pieces in self.relevant for name, _ in pieces)


@dataclass(frozen=True, slots=True)
class Found:
    """What the index finds for a query, part by part, each ranking best first."""

    rankings: Mapping[str, Documents]

    def score(self, part: str, name: str) -> float | None:
        """Return the score of a passage in a part; None where the part did not find it."""
        return next((passage.score for passage in self.rankings[part] if passage.id == name), None)

    def fused(self, name: str, index: LocalIndex) -> float:
        """Return the reciprocal rank fusion of a passage's ranks; a part that did not find it adds nothing."""
        ranks = [[passage.id for passage in ranking] for ranking in self.rankings.values()]
        return sum(1 / (index.fusion.k + ranking.index(name) + 1) for ranking in ranks if name in ranking)


@builders.register("ranking")
class RankingBuilder(DataBuilder):
    """Queries with their gold passages and hard negatives that the pipeline's own index finds.

    A row is a question with all of its gold passages. Negatives are passages that a part of the index ranks high, in
    the order of their fused ranks; never a gold one, and never one that holds a gold answer as whole words. What the
    index finds almost as good as the best gold passage is probably relevant and only unlabelled, and is left out too.

    Titles and sentences of the corpus give further rows without labels: a title is the query for its passage, and a
    sentence for the passage that it was cut out of.

    Sources: relevance by the positive's own score, Moreira et al. 2024, NV-Retriever, arXiv 2407.15831; sentences as
    queries, Lee et al. 2019, the Inverse Cloze Task, arXiv 1906.00300.
    """

    makes: ClassVar[type[Row]] = RankingRow

    negatives: int = Field(12, ge=1, description="the most negatives of a row")
    depth: int = Field(30, ge=1, description="passages that each part of the index is asked for")
    margin: float | None = Field(
        0.95, gt=0, description="share of the best gold passage's score above which others are no negatives; null: none"
    )
    copies: Copies = Field(
        1, description="how often the rows of each set are taken, or {set: times}; evens out sets of different sizes"
    )
    titles: int = Field(0, ge=0, description="rows of each set whose query is a title")
    sentences: int = Field(0, ge=0, description="rows of each set whose query is a sentence of the passage")
    teacher: Literal["ranks"] | None = Field(None, description="ranks: score all texts of a row by their fused ranks")
    reranker: Reranker | None = Field(None, description="score all texts of a row by this model")
    encoder: Encoder | None = Field(None, description="score all texts of a row by the cosine of this model's vectors")

    def build(self, part: Part, context: BuildContext) -> Sequence[Row]:
        if sum(teacher is not None for teacher in (self.teacher, self.reranker, self.encoder)) > 1:
            raise InputError("data: name one teacher: teacher, reranker or encoder")
        rows: list[Row] = []
        for opened in context.sets(part):
            copies = context.copies(self.copies, opened.name, part)
            index = opened.pipeline.index
            if not isinstance(index, LocalIndex):
                raise InputError(f"set '{opened.name}': gold passages are looked up in an index of type 'local'")
            fields = read_fields(opened.pipeline, context.model)
            queries = list(self._questions(opened, index, fields))
            if part == "train":
                queries += self._free(index, fields, context.seed)
            rows += self._rows(opened.name, queries, index, fields, context) * copies
        return rows

    def _questions(self, opened: TuningSet, index: LocalIndex, fields: Sequence[SearchField]) -> Iterator[Query]:
        """Yield the questions of a set whose gold passages are all in the index."""
        with Evidence(index) as evidence:
            wanted = {name for question in opened.questions for name in question.supporting_ids}
            gold = evidence.find(wanted)
        for question in opened.questions:
            if question.supporting_ids and all(gold[name] for name in question.supporting_ids):
                relevant = tuple(
                    tuple((passage.id, read_text(passage, fields)) for passage in gold[name])
                    for name in question.supporting_ids
                )
                yield Query("question", question.id, question.question, relevant, question.answers)

    def _free(self, index: LocalIndex, fields: Sequence[SearchField], seed: int) -> list[Query]:
        if not self.titles and not self.sentences:
            return []
        store = PassageStore(current_build(index.folder) / PASSAGES)
        try:
            found = free_queries(store, fields, self.titles, self.sentences, random.Random(seed))  # noqa: S311
            return [Query(free.kind, free.passage, free.query, (((free.passage, free.positive),),)) for free in found]
        finally:
            store.close()

    def _rows(
        self,
        name: str,
        queries: Sequence[Query],
        index: LocalIndex,
        fields: Sequence[SearchField],
        context: BuildContext,
    ) -> list[RankingRow]:
        found = self._run([_searching(index, query.text, self.depth) for query in queries], "negatives", context)
        rows = []
        for query, outcome in zip(queries, found, strict=True):
            positives = _positives(query, outcome, index)
            negatives = self._negatives(query, outcome, index, fields)
            scores = None
            if self.teacher == "ranks":
                scores = tuple(outcome.fused(passage, index) for passage in (*positives, *negatives))
            rows.append(
                RankingRow(
                    query=query.text,
                    positives=tuple(positives.values()),
                    negatives=tuple(negatives.values()),
                    scores=scores,
                    origin={"set": name, "question": query.id, "kind": query.kind},
                )
            )
        return self._taught(rows, context) if self.reranker or self.encoder else rows

    def _negatives(
        self, query: Query, found: Found, index: LocalIndex, fields: Sequence[SearchField]
    ) -> dict[str, str]:
        """Return the texts of negatives by id, the hardest first."""
        limit = self._limit(query, found)
        gold = query.gold
        chosen: dict[str, str] = {}
        known = {text for pieces in query.relevant for _, text in pieces}
        for passage in index.fuse(list(found.rankings.values()), self.depth):
            text = read_text(passage, fields)
            if passage.id in gold or text in known or holds_answer([text], query.answers):
                continue
            if limit is not None and (found.score(limit[0], passage.id) or 0.0) > limit[1]:
                continue
            known.add(text)
            chosen[passage.id] = text
        return dict(itertools.islice(chosen.items(), self.negatives))

    def _limit(self, query: Query, found: Found) -> tuple[str, float] | None:
        """Return a part of the index and the score in it above which a passage is probably relevant.

        The part is `dense` if there is one: a high cosine says more of relevance than many shared words.
        """
        if self.margin is None:
            return None
        part = "dense" if "dense" in found.rankings else next(iter(found.rankings))
        known = [score for name in query.gold if (score := found.score(part, name)) is not None and score > 0]
        return (part, self.margin * max(known)) if known else None

    def _taught(self, rows: Sequence[RankingRow], context: BuildContext) -> list[RankingRow]:
        """Return rows with the scores of a model."""
        tasks = [self._scoring(row) for row in rows]
        scored = self._run(tasks, "teacher", context)
        return [
            RankingRow(
                query=row.query, positives=row.positives, negatives=row.negatives, scores=scores, origin=row.origin
            )
            for row, scores in zip(rows, scored, strict=True)
        ]

    def _scoring(self, row: RankingRow) -> Task:
        texts = (*row.positives, *row.negatives)
        reranker, encoder = self.reranker, self.encoder

        async def score() -> tuple[float, ...]:
            if reranker is not None:
                return tuple(await asyncio.gather(*(reranker.score(row.query, text) for text in texts)))
            assert encoder is not None  # noqa: S101 - one of the two is there
            query, *vectors = await asyncio.gather(
                encoder.embed(row.query), *(encoder.embed(text, "passage") for text in texts)
            )
            return tuple(_cosine(query, vector) for vector in vectors)

        return score

    def _run(self, tasks: Sequence[Task], name: str, context: BuildContext) -> list[Any]:
        """Run tasks and return what they found.

        Raises:
            RagkitError: one of them failed.
        """
        with project_cache() as cache:
            outcomes = run_tasks(tasks, name=name, cache=cache, on_progress=context.on_progress)
        return values_of(outcomes, f"data: {name}")


def read_fields(pipeline: Pipeline, model: str) -> Sequence[SearchField]:
    """Return which fields of a passage a model of the pipeline reads when it works.

    Raises:
        InputError: the model embeds no passages of the index and reranks none.
    """
    tuned, index = pipeline.models[model], pipeline.index
    if isinstance(index, LocalIndex) and index.dense is not None and index.dense.encoder is tuned:
        return index.dense.fields
    for step in steps_of(pipeline.nodes):
        if isinstance(step.stage, RerankCrossEncoder) and step.stage.reranker is tuned:
            return step.stage.fields
    raise InputError(
        f"model '{model}' of the pipeline '{pipeline.name}' is neither the encoder of index.dense nor the reranker of "
        "a step rerank.cross_encoder"
    )


def read_text(passage: Passage, fields: Sequence[SearchField]) -> str:
    """Return what encoders and rerankers get to see of a passage."""
    return searched_text(passage.page_content, passage.metadata, fields)


def _searching(index: LocalIndex, query: str, depth: int) -> Task:
    async def search() -> Found:
        found = await asyncio.gather(*(index.search(part, query, depth) for part in index.parts))
        return Found(dict(zip(index.parts, found, strict=True)))

    return search


def _positives(query: Query, found: Found, index: LocalIndex) -> dict[str, str]:
    """Return the texts of positives by id: of pieces the one that the index finds best, or that holds an answer."""
    chosen: dict[str, str] = {}
    for pieces in query.relevant:
        name, text = max(
            pieces, key=lambda piece: (found.fused(piece[0], index), holds_answer(piece[1:], query.answers))
        )
        if text not in chosen.values():
            chosen[name] = text
    return chosen


def _cosine(one: Any, other: Any) -> float:
    return float(one @ other / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-12))
