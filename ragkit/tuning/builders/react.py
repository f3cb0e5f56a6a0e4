"""Rows that teach an agent: what to search for next, when the evidence is complete, and demonstrations of both."""

import functools
import hashlib
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, cast

from pydantic import Field

from ragkit.engine.controls import replace_stages
from ragkit.engine.registry import builders
from ragkit.engine.run import Asked, Prediction
from ragkit.engine.state import Documents, Passage
from ragkit.errors import InputError, RagkitError
from ragkit.evaluation.evidence import Evidence
from ragkit.evaluation.metrics import parse_metric
from ragkit.evaluation.metrics.answers import normalise
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question
from ragkit.evaluation.split import Part
from ragkit.models.base import Prompt
from ragkit.pipeline import Pipeline
from ragkit.stages.agents.actions import FINISH, SEARCH, Action
from ragkit.stages.agents.trajectory import fit, title_of, turn_of
from ragkit.stages.react import AgentReact, Walk
from ragkit.tuning.calls import run_cached
from ragkit.tuning.data import BuildContext, DataBuilder, TuningSet
from ragkit.tuning.frugal.evidence import agent_of, candidate_scores, found_units, recall
from ragkit.tuning.rows import DemoRow, RolloutRow, Row, SftRow

_COMPLETE = "The evidence is complete."


def is_for_demos(question_id: str) -> bool:
    """Say whether a question is kept for demonstrations: a tenth of them, by a hash of the id."""
    return hashlib.sha256(f"demos {question_id}".encode()).digest()[0] < 26


def without_finish(ids: Collection[str], share: float, seed: int) -> set[str]:
    """Return the questions, `share` of all, whose ways are explored without `finish`."""
    return set(random.Random(seed).sample(sorted(ids), round(share * len(ids))))  # noqa: S311 - not for secrets


def best_candidate(scores: Sequence[float]) -> int | None:
    """Return the number of the candidate with the highest score, of equal ones the first; None if none is usable."""
    best = max(range(len(scores)), key=scores.__getitem__, default=None)
    return None if best is None or scores[best] < 0 else best


@dataclass(slots=True)
class Explored:
    """One way through the loop, and what it teaches.

    Attributes:
        steps: prompt and action of each step.
        states: what the stopper would be asked before each action and at the end, and whether all was found.
    """

    walk: Walk
    steps: list[tuple[Prompt, Action]] = field(default_factory=list)
    states: list[tuple[Prompt, bool]] = field(default_factory=list)


@builders.register("react")
class ReactRows(DataBuilder):
    """Ways through `agent.react` that find the gold evidence, step by step.

    In each step several candidate queries are tried from the same state, each by itself, and the one whose search
    finds most of the gold passages is taken. Candidates come from the model with different prompts and draws
    (`teacher: model`), or are the titles of gold passages that are missing (`titles`), only those that a reader could
    know from the question or the passages so far unless `grounded: false`.

    What `finish` means:
      - `covered`: the model learns to finish at the step after which everything was found. The cheap variant.
      - `mixed`: a share `no_finish` of the questions is explored to the budget; the others finish where no candidate
        is a usable search. The paper's.
      - `never`: only searches are learned.

    A first search that finds much leaves little to learn. With `hold_back` each gold passage that it found is kept from
    it once, in a way of its own, so that this passage is what is missing.

    With `rows: stops`, rows are the stopper's: yes after the search that found the last gold passage, no before it, as
    many of each.

    Source: Java et al. 2025 (FrugalRAG), arXiv 2507.07634, stage 1.
    """

    makes: ClassVar[type[Row]] = SftRow

    rows: Literal["steps", "stops"] = Field("steps", description="steps of the agent, or yes and no of the stopper")
    teacher: Literal["titles", "model", "both"] = Field("titles", description="who proposes queries")
    grounded: bool = Field(True, description="only titles that occur in the question or in what was found")
    hold_back: bool = Field(False, description="also ways whose first search lacks one of the gold passages it found")
    demos: tuple[str, ...] = Field((), description="files of demonstrations; the model proposes with each of them")
    draws: int = Field(1, ge=1, description="queries that the model proposes with each prompt")
    temperature: float = Field(0.7, gt=0, description="of those proposals")
    finish: Literal["covered", "mixed", "never"] = Field("covered", description="when the model learns to finish")
    no_finish: float = Field(0.9, ge=0, le=1, description="for mixed: share of the questions without finish")
    finish_share: float = Field(0.5, gt=0, le=1, description="most share of the rows that finish; others are left out")
    limit: int | None = Field(None, ge=1, description="only so many questions of each set, drawn by the seed")

    def build(self, part: Part, context: BuildContext) -> Sequence[Row]:
        rows: list[SftRow] = []
        for opened in context.sets(part):
            _, stage = agent_of(opened.pipeline, context.model)
            questions = answerable(opened, self.limit, context.seed)
            titles = _gold_titles(opened, questions) if self.teacher != "model" else {}
            open_ended = without_finish([question.id for question in questions], self.no_finish, context.seed)
            tasks = [
                functools.partial(
                    self._explore, stage, question, titles.get(question.id, ()), question.id in open_ended
                )
                for question in questions
            ]
            outcomes = run_cached(tasks, "exploring", context)
            for question, outcome in zip(questions, outcomes, strict=True):
                if outcome.error is not None:
                    raise RagkitError(f"question '{question.id}' could not be explored: {outcome.error}")
                for explored in outcome.value:
                    rows += self._rows(opened.name, question, stage, explored)
        kind = "no" if self.rows == "stops" else "finish"
        rows = _at_most(rows, kind, self.finish_share, context.seed)
        random.Random(context.seed).shuffle(rows)  # noqa: S311 - not for secrets
        return rows

    async def _explore(
        self, stage: AgentReact, question: Question, titles: Sequence[Passage], open_ended: bool
    ) -> list[Explored]:
        """Return the way from the first search, and those from the same search without one of its gold passages."""
        ends = self.finish == "covered" or (self.finish == "mixed" and not open_ended)
        # What is decided here is when to stop, so nothing else may stop the loop.
        own = stage.model_copy(update={"demos": None, "finish": ends, "stop": (), "stopper": None})
        begun = await own.begin(question.question)
        held = [one for one in begun.passages if found_units([one], question.supporting_ids)] if self.hold_back else []
        starts = [begun, *[await own.begin(question.question, without=(passage,)) for passage in held]]
        return [await self._go_on(stage, own, walk, question.supporting_ids, titles) for walk in starts]

    async def _go_on(
        self, stage: AgentReact, own: AgentReact, walk: Walk, gold: Sequence[str], titles: Sequence[Passage]
    ) -> Explored:
        explored = Explored(walk)
        while len(walk.turns) < own.budget:
            covered = recall(walk.passages, gold) == 1
            explored.states.append((await stage.stop_question(walk), covered))
            if covered and (self.finish == "covered" or self.rows == "stops"):
                if self.finish == "covered":
                    explored.steps.append((await own.ask(walk, own.offers(walk)), Action(_COMPLETE, FINISH)))
                return explored
            chosen = await self._choose(own, walk, gold, titles)
            if chosen is None:
                return explored
            explored.steps.append((await own.ask(walk, own.offers(walk)), chosen))
            await own.act(walk, chosen)
            if walk.stopped:
                return explored
        explored.states.append((await stage.stop_question(walk), recall(walk.passages, gold) == 1))
        return explored

    async def _choose(
        self, stage: AgentReact, walk: Walk, gold: Sequence[str], titles: Sequence[Passage]
    ) -> Action | None:
        """Return the best candidate; `finish` where that is all that was proposed; None where there is nothing."""
        proposed = [] if self.teacher == "titles" else await self._proposals(stage, walk)
        taught = [] if self.teacher == "model" else self._titles(walk, titles)
        candidates = [*proposed, *taught]
        found: list[Documents | None] = []
        for action in candidates:
            search = action is not None and action.name == SEARCH
            found.append((await stage.search(walk, action.query)).passages if search and action is not None else None)
        before = recall(walk.passages, gold)
        scores = candidate_scores(walk.passages, [own or None for own in found], gold)
        # A title that finds nothing of the evidence is no example; a model's query may be as good as there is.
        scores = [-1.0 if number >= len(proposed) and score <= before else score for number, score in enumerate(scores)]
        best = best_candidate(scores)
        if best is not None:
            return candidates[best]
        return next((action for action in candidates if action is not None and action.name == FINISH), None)

    async def _proposals(self, stage: AgentReact, walk: Walk) -> list[Action | None]:
        """Return what the model would do, with each of its prompts and draws; None for a reply without an action."""
        made: list[Action | None] = []
        for demos in (None, *self.demos):
            variant = stage.model_copy(update={"demos": demos, "temperature": self.temperature})
            for draw in range(self.draws):
                decision = await variant.decide(walk, draw)
                made.append(None if "fallback" in decision.rungs else decision.action)
        return made

    def _titles(self, walk: Walk, gold: Sequence[Passage]) -> list[Action | None]:
        """Return searches for the titles of gold passages that are missing."""
        shown = normalise(" ".join([walk.question, *(f"{title_of(p)} {p.page_content}" for p in walk.passages)]))
        there = {passage.id for passage in walk.passages}
        titles = dict.fromkeys(title_of(passage) for passage in gold if passage.id not in there)
        known = [title for title in titles if not self.grounded or f" {normalise(title)} " in f" {shown} "]
        return [Action(f"I still need to know about {title}.", SEARCH, title) for title in known]

    def _rows(self, name: str, question: Question, stage: AgentReact, explored: Explored) -> list[SftRow]:
        origin = {"set": name, "question": question.id, "hops": len(question.supporting_ids)}
        if self.rows == "steps":
            return [
                SftRow(prompt=prompt, completion=stage.written(action), origin=origin | {"kind": action.name})
                for prompt, action in explored.steps
            ]
        return [
            SftRow(
                prompt=prompt,
                completion=f" {said}" if isinstance(prompt, str) else said,
                origin=origin | {"kind": said},
            )
            for prompt, covered in explored.states
            if (said := "yes" if covered else "no")
        ]


@builders.register("react_demos")
class ReactDemos(DataBuilder):
    """Single steps of runs that ended well, for objective `bootstrap`: one step of each run.

    The pipeline runs as it is on the questions that are kept for demonstrations. From a run that passes the metric one
    step of the model is taken: with probability one half any but the last, else the last.

    Source: Khattab et al. 2023 (DSPy), arXiv 2310.03714, `BootstrapFewShot`.
    """

    makes: ClassVar[type[Row]] = DemoRow

    metric: str = Field("em", min_length=1, description="a run passes if this is at least `at_least`")
    at_least: float = Field(1.0, description="what the metric has to reach")
    temperature: float = Field(0.7, ge=0, description="of the runs")
    limit: int | None = Field(100, ge=1, description="only so many questions of each set, drawn by the seed")

    def build(self, part: Part, context: BuildContext) -> Sequence[Row]:
        if part != "train":
            return []
        metric = parse_metric(self.metric)
        rows: list[DemoRow] = []
        for opened in context.sets(part):
            step, stage = agent_of(opened.pipeline, context.model)
            kept = [question for question in opened.questions if is_for_demos(question.id)]
            questions = drawn(kept, self.limit, context.seed)
            if not questions:
                continue
            sampling = with_agent(opened.pipeline, step, stage.model_copy(update={"temperature": self.temperature}))
            ran = sampling.predict(
                [Asked(q.id, q.question, q.vars) for q in questions], on_progress=context.on_progress
            )
            values = metric.compute(questions, [cast("PredictionRow", one.to_row()) for one in ran])
            passed = [
                one
                for one, value in zip(ran, values, strict=True)
                if one.error is None and value is not None and value >= self.at_least
            ]
            tasks = [functools.partial(_demo, opened.name, stage, one) for one in passed]
            rows += [outcome.value for outcome in run_cached(tasks, "demonstrations", context) if outcome.value]
        return rows


async def _demo(name: str, stage: AgentReact, prediction: Prediction) -> DemoRow | None:
    """Return one step of a run; None where the model took none."""
    known = {passage.id: passage for passage in prediction.documents}
    turns = [turn_of(told, known) for told in prediction.vars["trajectory"]]
    if len(turns) < 2:
        return None
    key = f"{prediction.question} {[turn.query for turn in turns]}"
    draw = random.Random(key)  # noqa: S311 - not for secrets; a run gives the same step whatever else is in the set
    last = len(turns) - 1
    place = draw.randrange(1, last) if last > 1 and draw.random() < 0.5 else last
    shown, _ = await fit(
        turns[:place], stage.form, stage.trajectory_tokens, stage.model.count_tokens, thoughts=stage.thoughts
    )
    turn = turns[place]
    return DemoRow(
        question=prediction.question,
        trajectory=shown,
        completion=stage.written(Action(turn.thought, turn.action, turn.query)),
        origin={"set": name, "question": prediction.id, "kind": turn.action},
    )


@builders.register("react_rollouts")
class ReactRollouts(DataBuilder):
    """Questions for objective `react_grpo`, each with the recall that the agent reaches when it searches to the budget.

    That recall is what a way has to reach to count as found (tau). Questions of which nothing is found teach nothing
    about stopping and are left out.

    Source: Java et al. 2025 (FrugalRAG), arXiv 2507.07634, stage 2.
    """

    makes: ClassVar[type[Row]] = RolloutRow

    limit: int | None = Field(1000, ge=1, description="only so many questions of each set, drawn by the seed")

    def build(self, part: Part, context: BuildContext) -> Sequence[Row]:
        rows: list[RolloutRow] = []
        for opened in context.sets(part):
            _, stage = agent_of(opened.pipeline, context.model)
            explorer = stage.model_copy(update={"finish": False, "stop": (), "stopper": None})
            questions = answerable(opened, self.limit, context.seed)
            tasks = [functools.partial(explorer.walk, question.question) for question in questions]
            for question, outcome in zip(questions, run_cached(tasks, "exploring", context), strict=True):
                if outcome.error is not None:
                    raise RagkitError(f"question '{question.id}' could not be explored: {outcome.error}")
                reached = recall(outcome.value.passages, question.supporting_ids)
                if reached:
                    origin = {"set": opened.name, "question": question.id, "hops": len(question.supporting_ids)}
                    gold = question.supporting_ids
                    rows.append(
                        RolloutRow(id=question.id, question=question.question, gold=gold, tau=reached, origin=origin)
                    )
        return rows


def with_agent(pipeline: Pipeline, step: str, stage: AgentReact) -> Pipeline:
    """Return a pipeline with another agent in its step."""
    nodes = replace_stages(pipeline.nodes, {step: stage})
    return Pipeline(nodes, name=pipeline.name, models=pipeline.models, index=pipeline.index, run=pipeline.settings)


def answerable(opened: TuningSet, limit: int | None, seed: int) -> list[Question]:
    """Return the questions with gold passages that are not kept for demonstrations."""
    fit_ = [q for q in opened.questions if q.supporting_ids and q.answerable and not is_for_demos(q.id)]
    return drawn(fit_, limit, seed)


def drawn(questions: Sequence[Question], limit: int | None, seed: int) -> list[Question]:
    """Return so many questions at random, in their order."""
    if limit is None or limit >= len(questions):
        return list(questions)
    chosen = random.Random(seed).sample(range(len(questions)), limit)  # noqa: S311 - not for secrets
    return [questions[place] for place in sorted(chosen)]


def _gold_titles(opened: TuningSet, questions: Sequence[Question]) -> dict[str, list[Passage]]:
    """Return the gold passages of each question.

    Raises:
        InputError: the index cannot be looked into.
    """
    evidence = Evidence.of(opened.pipeline.index)
    if evidence is None:
        raise InputError(f"set '{opened.name}': titles of gold passages are looked up in an index of type 'local'")
    with evidence:
        found = evidence.find({name for question in questions for name in question.supporting_ids})
    return {q.id: [passage for name in q.supporting_ids for passage in found[name]] for q in questions}


def _at_most(rows: Sequence[SftRow], kind: str, share: float, seed: int) -> list[SftRow]:
    """Return the rows, with as many of a kind left out as its share is too large."""
    those = [number for number, row in enumerate(rows) if row.origin["kind"] == kind]
    others = len(rows) - len(those)
    room = len(those) if share == 1 else int(share * others / (1 - share))
    kept = set(random.Random(seed).sample(those, min(room, len(those))))  # noqa: S311 - not for secrets
    return [row for number, row in enumerate(rows) if row.origin["kind"] != kind or number in kept]
