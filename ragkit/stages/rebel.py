"""REBEL: rerank by relevance and further criteria, weighed in code."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ragkit.engine.calls import flag
from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Documents, Passage
from ragkit.models.base import LanguageModel, Prompt
from ragkit.prompts import prompt_setting
from ragkit.stages.multicriteria import digits, turn, written
from ragkit.stages.multicriteria.asking import Scored, cut, normalised, shown_passage, shown_query
from ragkit.stages.multicriteria.composite import final_score, rank_scored
from ragkit.stages.multicriteria.criteria import FIXED, RELEVANCE, Criterion, Rubric
from ragkit.stages.multicriteria.metadata import DateScorer, SourceScorer
from ragkit.stages.multicriteria.replies import RELEVANCE_TOP
from ragkit.stages.spending import Budget, Purse

CRITERIA_FALLBACK = "rerank.rebel:criteria"
"""Flag of a question for which no rubric could be inferred, so that the fixed one was used."""
CRITERIA_LEFT_OUT = "rerank.rebel:criteria_left_out"
"""Flag of a question for which turn 1 named criteria that could not be used, or too many, beside others."""
UNREADABLE = "rerank.rebel:unreadable"
"""Flag of a question with passages about which no reply could be read."""


@stage("rerank.rebel", writes=("documents", "vars.rebel"))
class RerankRebel(Stage):
    """Order passages by `relevance + sum of weight x criterion`, and drop those whose relevance is below `threshold`.

    A model gives every passage a relevance from 0 to 10 and each criterion from 0 to 5; everything after that is
    computed: composite, threshold, ties (authority, relevance, order), the best `k`. In `two_turn`, turn 1 infers the
    criteria from the query alone; in `relevance_only`, the control at the same number of calls, it says what relevance
    means for the query; in `one_turn`, criteria are fixed. Turn 1 is a call like any other, so the call cache keeps its
    answer by query. A passage that the model leaves out of its reply is dropped. Passages about which no reply could be
    read, after one repair, and those that the budget does not reach follow the others in their old order, without a
    score. `vars.rebel` holds the rubric, all scores and what was dropped.

    `budget` is spent in this order: the first batch in one turn; turn 1; further batches; further orders of the
    passages. Without any, the old order stays. Scores of different batches are compared as they are: they share one
    rubric with the same anchors, and the default batch holds all of ten candidates.

    Source: LeVine and Varjavand 2025, arXiv 2504.07104 (REBEL).
    """

    model: LanguageModel
    mode: Literal["one_turn", "two_turn", "relevance_only"] = "two_turn"
    criteria: tuple[Criterion, ...] | None = Field(
        None, description="instead of the fixed five, with mode: one_turn; [] scores relevance alone"
    )
    scoring: Literal["listwise", "pointwise", "expected"] = Field(
        "listwise",
        description="listwise: a prompt for a batch | pointwise: a prompt for a passage | expected: a call for each "
        "passage and score, the mean of the digits by their probabilities, for small local models",
    )
    form: written.Form = Field(
        "json", description="json: all scores, weighed in code | lines: the paper's, the model's own final scores"
    )
    reasoning: bool = Field(False, description="have the model write a short reason before its scores (json)")
    batch: int = Field(10, ge=1, description="passages in one listwise prompt")
    permutations: int = Field(1, ge=1, description="orders in which a batch is shown; scores are averaged")
    threshold: float = Field(3.0, ge=0, le=RELEVANCE_TOP, description="lowest relevance that is kept")
    k: int | None = Field(None, ge=1, description="passages to keep; all by default")
    min_keep: int = Field(0, ge=0, description="passages kept at least, the first in the old order")
    on_failure: Literal["keep_order", "drop"] = Field(
        "keep_order", description="what becomes of passages about which no reply could be read"
    )
    date: DateScorer | None = Field(None, description="scores criteria about the date, without the model")
    source: SourceScorer | None = Field(None, description="scores criteria about the source, without the model")
    show: tuple[str, ...] = Field(("title", "source", "date"), description="metadata that the model sees")
    passage_tokens: int | None = Field(512, ge=1, description="tokens after which a passage is cut; null for never")
    budget: Budget | None = Field(None, description="the most to spend on one question")
    max_new_tokens: int | None = Field(None, ge=1, description="of a reply with scores; by default enough for all")
    prompt: Annotated[str, prompt_setting(*written.GIVEN, needs=("query", "passages"))] = Field(
        "rerank.rebel", description="packaged prompt of a batch, or path of a .jinja file"
    )
    score_prompt: Annotated[str, prompt_setting(*digits.GIVEN, needs=digits.GIVEN)] = Field(
        "rerank.rebel.score", description="prompt for one digit (scoring: expected)"
    )
    criteria_prompt: Annotated[str, prompt_setting(*turn.GIVEN, needs=("query",))] = Field(
        "rerank.rebel.criteria", description="prompt of turn 1"
    )
    relevance_prompt: Annotated[str, prompt_setting(*turn.GIVEN, needs=("query",))] = Field(
        "rerank.rebel.relevance", description="prompt of turn 1 with mode: relevance_only"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.criteria is not None and self.mode != "one_turn":
            raise ValueError(f"criteria are given with mode: one_turn; mode: {self.mode} has its own")
        names = [criterion.name.casefold() for criterion in self.criteria or ()]
        if repeated := [name for number, name in enumerate(names) if name in names[:number]]:
            raise ValueError(f"two criteria are called '{repeated[0]}'")
        if self.permutations > 1 and self.scoring != "listwise":
            raise ValueError("permutations are for scoring: listwise; no other prompt has an order")
        if self.scoring == "expected" and (self.form == "lines" or self.reasoning):
            raise ValueError("with scoring: expected the model writes nothing: leave form and reasoning out")
        if self.reasoning and self.form == "lines":
            raise ValueError("reasoning needs form: json; the lines have no place for it")
        return self

    async def run(self, question: str, documents: Documents) -> dict[str, Any]:
        """Return the passages that are kept, best first, and how they scored."""
        if not question or not question.strip():
            raise ValueError("rerank.rebel needs a query, but the question is empty")
        rubric, scored = self._fixed(), Scored({})
        if documents:
            rubric, scored = await self._score(question, documents)
        self._add_computed(scored, documents, rubric)
        if scored.unread:
            flag(UNREADABLE)
        kept = self._kept(len(documents), scored, rubric)
        finals = {position: final_score(scores, rubric.criteria) for position, scores in scored.scores.items()}
        return {
            "documents": tuple(documents[p].model_copy(update={"score": finals.get(p)}) for p in kept),
            "vars.rebel": _told(documents, rubric, scored, finals, kept),
        }

    async def _score(self, question: str, documents: Documents) -> tuple[Rubric, Scored]:
        purse = Purse(self.budget)
        way = self._way(shown_query(question), await self._shown(documents))
        rubric = self._fixed()
        if self.mode != "one_turn":
            alone = self.mode == "relevance_only"
            prompt = self.relevance_prompt if alone else self.criteria_prompt
            first = turn.Turn(self.model, prompt, normalised(question), alone)
            price, rest = await first.price(purse), await way.least(self._for_model(rubric), purse)
            if purse.holds(price + rest):
                purse.take(price)
                inferred = await first.infer(purse, rest)
                if inferred is None:
                    flag(CRITERIA_FALLBACK)
                elif inferred.left_out:
                    flag(CRITERIA_LEFT_OUT)
                rubric = inferred or rubric
        return rubric, await way.score(self._for_model(rubric), purse)

    async def digit_prompts(self, question: str, documents: Documents) -> list[dict[str, Prompt]]:
        """Return what `scoring: expected` asks about each passage with the fixed rubric, by criterion: to train on."""
        asked = digits.Digits(self.model, self.score_prompt, shown_query(question), (), self.threshold)
        rubric = self._for_model(self._fixed())
        criteria = [rubric.relevance, *rubric.criteria]
        return [{c.name: asked.filled(passage, c) for c in criteria} for passage in await self._shown(documents)]

    async def _shown(self, documents: Documents) -> list[str]:
        """Return the passages as they stand in prompts."""
        texts = await asyncio.gather(*(cut(self.model, d.page_content, self.passage_tokens) for d in documents))
        return [shown_passage(d, text, self.show) for d, text in zip(documents, texts, strict=True)]

    def _way(self, query: str, passages: Sequence[str]) -> written.Written | digits.Digits:
        if self.scoring == "expected":
            return digits.Digits(self.model, self.score_prompt, query, passages, self.threshold)
        return written.Written(
            self.model,
            self.prompt,
            query,
            passages,
            form=self.form,
            reasoning=self.reasoning,
            size=1 if self.scoring == "pointwise" else self.batch,
            permutations=self.permutations,
            threshold=self.threshold,
            max_new_tokens=self.max_new_tokens,
        )

    def _fixed(self) -> Rubric:
        if self.mode == "relevance_only":
            return Rubric(RELEVANCE, ())
        return Rubric(RELEVANCE, FIXED if self.criteria is None else self.criteria)

    def _for_model(self, rubric: Rubric) -> Rubric:
        """Return the rubric without the criteria that follow from metadata."""
        return rubric._replace(criteria=tuple(c for c in rubric.criteria if self._scorer(c) is None))

    def _scorer(self, criterion: Criterion) -> DateScorer | SourceScorer | None:
        return {"date": self.date, "source": self.source, "text": None}[criterion.about]

    def _add_computed(self, scored: Scored, documents: Documents, rubric: Rubric) -> None:
        """Add the scores that follow from metadata."""
        for criterion in rubric.criteria:
            if (scorer := self._scorer(criterion)) is not None:
                values = scorer.score(documents)
                for position, scores in scored.scores.items():
                    scores.criteria[criterion.name] = values[position]

    def _kept(self, count: int, scored: Scored, rubric: Rubric) -> list[int]:
        """Return the positions of the passages that are handed on, best first."""
        kept = rank_scored(scored.scores, rubric.criteria, self.threshold)
        lost = scored.left_out | (scored.unread if self.on_failure == "drop" else frozenset())
        kept += [position for position in range(count) if position not in scored.scores and position not in lost]
        missing = max(0, self.min_keep - len(kept))
        kept += [position for position in range(count) if position not in kept][:missing]
        return kept[: self.k]


def _told(
    documents: Documents, rubric: Rubric, scored: Scored, finals: Mapping[int, float], kept: Sequence[int]
) -> dict[str, Any]:
    """Return what the trace keeps: the rubric, and the scores of all passages, those that are handed on first."""

    def row(position: int) -> dict[str, Any]:
        passage: Passage = documents[position]
        scores = scored.scores.get(position)
        told: dict[str, Any] = {"id": passage.id, "kept": position in kept, "final": finals.get(position)}
        return told | {
            "relevance": None if scores is None else scores.relevance,
            "criteria": {} if scores is None else dict(scores.criteria),
        }

    dropped = [position for position in range(len(documents)) if position not in kept]
    rows = [row(position) for position in [*kept, *dropped]]
    return {
        "inferred": rubric.inferred,
        "relevance": rubric.relevance.definition,
        "criteria": [criterion.model_dump() for criterion in rubric.criteria],
        "scores": rows,
        "skipped": scored.skipped,
        "in_words": [_in_words(told) for told in rows],
    }


def _in_words(row: Mapping[str, Any]) -> str:
    """Return a passage's scores as a reader's line: `d3: 11.5 of relevance 9, exactness 5 (dropped)`."""
    if row["final"] is None:
        said = "not scored"
    else:
        parts = {"relevance": row["relevance"]} | row["criteria"]
        said = f"{row['final']:.4g} of " + ", ".join(f"{name} {value:.3g}" for name, value in parts.items())
    return f"{row['id']}: {said}" + ("" if row["kept"] else " (dropped)")
