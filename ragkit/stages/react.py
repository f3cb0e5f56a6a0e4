"""An agent that searches step by step: thought, action, observation."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from ragkit.engine.calls import flag, try_search
from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Documents, Passage
from ragkit.errors import BudgetExceededError, InputError, ReplyError
from ragkit.index.base import Index
from ragkit.models.base import LanguageModel, Prompt
from ragkit.prompts import prompt_setting, render
from ragkit.stages.agents.actions import FINISH, SEARCH, Action, Form, Offer, grammar, read, write
from ragkit.stages.agents.demos import read_demos
from ragkit.stages.agents.searching import Found, normalised_query, passage_key, search_unseen
from ragkit.stages.agents.toolbox import AgentTool, Toolbox
from ragkit.stages.agents.trajectory import Turn, fit

FIRST_THOUGHT = "I start by searching for the question itself."
_REPEATED = "This was searched for before; nothing new."


@dataclass(frozen=True, slots=True)
class Decision:
    """What a model decided in a step.

    Attributes:
        prompt: what it saw, exactly as it was sent the first time.
        reply: what it wrote to that.
        action: what is done; after a reply without an action, what it wrote when it was asked again, or the fallback.
        rungs: what had to be mended.
        readable: whether the first reply held an action.
    """

    prompt: Prompt
    reply: str
    action: Action
    rungs: tuple[str, ...]
    readable: bool


@dataclass(slots=True)
class Walk:
    """One question on its way through the loop; nothing of it is shared with another question.

    Attributes:
        turns: what was done.
        seen: keys of the passages that were shown, in that order.
        queries: the normalised queries.
        decisions: what the model decided, by turn; the first search is nobody's decision.
        idle: searches one after the other that only repeated an earlier query.
        stopped: why the loop ended.
    """

    question: str
    turns: list[Turn] = field(default_factory=list)
    seen: dict[str, None] = field(default_factory=dict)
    queries: dict[str, None] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    idle: int = 0
    stopped: str = ""

    @property
    def searches(self) -> int:
        """Searches that were made, the first one included."""
        return sum(turn.new is not None for turn in self.turns)

    @property
    def passages(self) -> Documents:
        """All passages, in the order in which they were found."""
        return tuple(passage for turn in self.turns for passage in turn.passages)

    def take(self, turn: Turn) -> None:
        """Add a turn and note what it brought."""
        self.turns.append(turn)
        self.seen.update(dict.fromkeys(map(passage_key, turn.passages)))
        if turn.action == SEARCH:
            self.queries[normalised_query(turn.query)] = None

    def copy(self) -> "Walk":
        """Return a walk that goes on from here by itself."""
        return Walk(
            self.question, list(self.turns), dict(self.seen), dict(self.queries), list(self.decisions), self.idle
        )


@stage("agent.react", writes=("documents", "vars.trajectory", "vars.react"))
class AgentReact(Stage):
    """Collect evidence in a loop of thought, action and observation, with no more searches than it takes.

    The first search is for the question itself and asks no model. After it, a model chooses an action in each step: a
    further search, a tool, or `finish`. A search returns the first `k` passages that this question has not seen.
    `documents` are all passages in the order in which they were found; `vars.trajectory` are the turns, and
    `vars.react` counts searches, replies and what had to be mended in them, and says why the loop ended.

    Where the model can be held to a grammar, its replies are decoded under it. Other replies are read down a ladder
    (see `ragkit.stages.agents.actions`); one without an action is asked again
    `reasks` times (an empty one is not), after which the loop
    ends, or, where it may not end, searches for the question.

    `budget` counts actions, so a loop asks at most `(budget - 1) * (1 + reasks)` replies of the model.

    Source: Yao et al. 2023 (ReAct), arXiv 2210.03629; Java et al. 2025 (FrugalRAG), arXiv 2507.07634.
    """

    model: LanguageModel
    index: Index
    part: str = Field("hybrid", description="part of the index to search, or hybrid")
    k: int = Field(3, ge=1, description="new passages of a search")
    budget: int = Field(6, ge=1, description="the most actions, the first search included")
    finish: bool = Field(True, description="whether the model may end the loop; without, it goes on to the budget")
    min_searches: int = Field(1, ge=1, description="searches before the model may end the loop")
    stop: tuple[Literal["nothing_new", "repeat", "sufficient"], ...] = Field(
        ("nothing_new", "repeat"),
        description="what ends the loop beside the model: a search whose first k passages were all there before; two "
        "repeated queries one after the other; the model's own line 'Answerable: yes'",
    )
    stopper: LanguageModel | None = Field(
        None,
        description="who is asked before each step if the evidence is enough; the model itself may not finish then",
    )
    stop_at: float = Field(0.5, ge=0, le=1, description="the stopper's probability of yes that ends the loop")
    fuse: bool = Field(False, description="fuse the ranking of each query with that of the question")
    tools: tuple[AgentTool, ...] = Field((), description="further actions: tools of langchain, further indexes")
    form: Form = Field("compact", description="how actions are written: compact (three lines), fields (FrugalRAG's)")
    thoughts: bool = Field(True, description="whether a thought comes before an action in the compact form")
    constrain: bool = Field(True, description="hold a model that can be held to the grammar to it")
    reasks: int = Field(1, ge=0, description="how often a reply without an action is asked again")
    max_new_tokens: int = Field(192, ge=80, description="the most tokens of a reply")
    trajectory_tokens: int = Field(2000, ge=64, description="the most tokens of the trajectory in a prompt")
    temperature: float = Field(0.0, ge=0, description="of the model's replies")
    demos: str | None = Field(None, description="file or folder of demonstrations that `ragkit tune` made")
    prompt: Annotated[
        str,
        prompt_setting(
            "question", "trajectory", "offers", "finishing", "form", "demos", "problem",
            needs=("question", "trajectory"),
        ),
    ] = Field("agent.react", description="packaged prompt, or path of a .jinja file")  # fmt: skip
    stop_prompt: Annotated[str, prompt_setting("question", "trajectory", needs=("question", "trajectory"))] = Field(
        "agent.react.enough", description="what the stopper is asked"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        names = [SEARCH, FINISH, *(tool.name for tool in self.tools)]
        if len(set(names)) < len(names):
            raise ValueError(f"two actions have one name: {', '.join(names)}")
        if "sufficient" in self.stop and self.form != "compact":
            raise ValueError("'stop: sufficient' is a line of the compact form")
        if self.min_searches > self.budget:
            raise ValueError(f"min_searches {self.min_searches} is more than the budget {self.budget}")
        if self.part != "hybrid":
            try:
                self.index.check_parts((self.part,))
            except InputError as error:
                raise ValueError(str(error)) from None
        return self

    @field_validator("demos")
    @classmethod
    def _demos_are_there(cls, path: str | None) -> str | None:
        if path is not None:
            try:
                read_demos(path)
            except InputError as error:
                raise ValueError(str(error)) from None
        return path

    async def run(self, question: str) -> dict[str, Any]:
        """Return the passages, the turns and the counts."""
        walk = await self.walk(question)
        rungs: dict[str, int] = {}
        for name in (rung for turn in walk.turns for rung in turn.rungs):
            rungs[name] = rungs.get(name, 0) + 1
            flag(f"agent.react:{name}")
        return {
            "documents": walk.passages,
            "vars.trajectory": [turn.told() for turn in walk.turns],
            "vars.react": {
                "searches": walk.searches,
                "replies": len(walk.decisions),
                "stopped": walk.stopped,
                "mended": rungs,
            },
        }

    async def walk(self, question: str, draw: int = 0) -> Walk:
        """Go the whole way; `draw` tells several ways of one question apart where replies are sampled."""
        walk = await self.begin(question)
        while not walk.stopped:
            try:
                await self.step(walk, draw)
            except BudgetExceededError as error:
                walk.stopped = f"budget: {error.name}"  # the question ends after this stage, with what there is
        return walk

    async def begin(self, question: str, without: Sequence[Passage] = ()) -> Walk:
        """Make the first search; it does not find the passages `without`, which later searches do."""
        walk = Walk(question, seen=dict.fromkeys(map(passage_key, without)))
        await self.act(walk, Action(FIRST_THOUGHT, SEARCH, question))
        walk.seen = dict.fromkeys(map(passage_key, walk.passages))
        return walk

    async def step(self, walk: Walk, draw: int = 0) -> None:
        """Have the model choose an action and carry it out, or end the loop."""
        if len(walk.turns) >= self.budget:
            walk.stopped = "budget"
        elif self._may_finish(walk) and await self.enough(walk):
            walk.stopped = "stopper"
        else:
            decision = await self.decide(walk, draw)
            walk.decisions.append(decision)
            await self.act(walk, decision.action, decision.rungs)

    async def enough(self, walk: Walk) -> bool:
        """Say whether the stopper finds the evidence sufficient; False without a stopper."""
        if self.stopper is None:
            return False
        asked = await self.stop_question(walk)
        labels = [" yes", " no"] if isinstance(asked, str) else ["yes", "no"]
        return (await self.stopper.choose(asked, labels)).probability(labels[0]) >= self.stop_at

    async def stop_question(self, walk: Walk) -> Prompt:
        """Return what the stopper is asked."""
        count = (self.stopper or self.model).count_tokens
        shown, _ = await fit(walk.turns, self.form, self.trajectory_tokens, count, thoughts=False)
        return render(self.stop_prompt, question=walk.question, trajectory=shown)

    async def decide(self, walk: Walk, draw: int = 0) -> Decision:
        """Have the model choose an action; nothing that it replies is an error."""
        offers = self.offers(walk)
        prompt = await self.ask(walk, offers)
        asked, first = prompt, ""
        rungs: list[str] = []
        for attempt in range(1 + self.reasks):
            reply = await self._generate(asked, offers, draw)
            first = first if attempt else reply
            found = read(reply, offers)
            rungs += found.rungs
            if found.action is not None:
                return Decision(prompt, first, self._sufficient(found.action, walk), tuple(rungs), attempt == 0)
            if not reply.strip():
                rungs.append("empty")
                break  # who says nothing has nothing to mend
            if attempt < self.reasks:
                rungs.append("reask")
                asked = await self.ask(walk, offers, "there is no action in it that is on offer.")
        rungs.append("fallback")
        last = Action("", FINISH) if self._may_finish(walk) else Action("", SEARCH, walk.question)
        return Decision(prompt, first, last, tuple(rungs), False)

    async def ask(self, walk: Walk, offers: Sequence[Offer], problem: str = "") -> Prompt:
        """Return the prompt of the next step."""
        shown, level = await fit(
            walk.turns, self.form, self.trajectory_tokens, self.model.count_tokens, thoughts=self.thoughts
        )
        if level:
            flag("agent.react:shortened")
        return render(
            self.prompt,
            question=walk.question,
            trajectory=shown,
            offers=offers,
            finishing=any(offer.name == FINISH for offer in offers),
            form=self.written(Action("...", "|".join(offer.name for offer in offers), "... (not with finish)")),
            demos=[demo for demo in self._demos() if demo.question != walk.question],
            problem=problem,
        )

    def written(self, action: Action) -> str:
        """Return an action as the model of this stage should write it."""
        return write(action, self.form, thoughts=self.thoughts, sufficiency="sufficient" in self.stop)

    def offers(self, walk: Walk) -> list[Offer]:
        """Return what the model may do now."""
        found = [Offer(SEARCH, "find passages; the query is a short text about what is still missing.")]
        found += Toolbox(self.tools).offers()
        if self._may_finish(walk) and self.stopper is None:
            found.append(Offer(FINISH, "the evidence is complete, so the question can be answered."))
        return found

    async def act(self, walk: Walk, action: Action, rungs: tuple[str, ...] = ()) -> None:
        """Carry out an action and note what came of it; ends the loop where it has to."""
        if action.name == FINISH:
            walk.take(Turn(action.thought, FINISH, "", rungs=rungs))
            walk.stopped = FINISH
            return
        if action.name != SEARCH:
            walk.take(await self._use(walk, action, rungs))
            return
        if "repeat" in self.stop and normalised_query(action.query) in walk.queries:
            walk.take(Turn(action.thought, SEARCH, action.query, said=_REPEATED, rungs=rungs))
            walk.idle += 1
            walk.stopped = "repeat" if walk.idle > 1 else ""
            return
        if not try_search():
            walk.stopped = "budget: searches"
            return
        found = await self.search(walk, action.query)
        said = "" if found.passages else "Nothing was found."
        walk.take(Turn(action.thought, SEARCH, action.query, found.passages, said, False, found.new, rungs))
        walk.idle = 0
        if "nothing_new" in self.stop and not found.new:
            walk.stopped = "nothing_new"

    async def search(self, walk: Walk, query: str) -> Found:
        """Return the first k passages for a query that the question has not seen."""

        async def ranking(asked: str, depth: int) -> Documents:
            own = await self.index.search_by(self.part, asked, depth)
            if not self.fuse or asked == walk.question:
                return own
            return self.index.fuse([own, await self.index.search_by(self.part, walk.question, depth)], depth)

        return await search_unseen(ranking, query, self.k, walk.seen, self.k * self.budget)

    async def _use(self, walk: Walk, action: Action, rungs: tuple[str, ...]) -> Turn:
        tool = Toolbox(self.tools)
        if tool.searches(action.name) and not try_search():
            walk.stopped = "budget: searches"
            return Turn(action.thought, action.name, action.query, said="No search is left.", failed=True, rungs=rungs)
        outcome = await tool.use(action, self.k, walk.seen, self.k * self.budget)
        failed = ("tool_failed",) if outcome.failed else ()
        return Turn(
            action.thought, action.name, action.query, outcome.passages, outcome.said, outcome.failed, outcome.new,
            (*rungs, *failed),
        )  # fmt: skip

    def _may_finish(self, walk: Walk) -> bool:
        return self.finish and walk.searches >= self.min_searches

    def _sufficient(self, action: Action, walk: Walk) -> Action:
        """Return `finish` in the place of an action of a model that says that its evidence is enough."""
        enough = "sufficient" in self.stop and action.answerable and self._may_finish(walk)
        return Action(action.thought, FINISH, "", True) if enough else action

    async def _generate(self, prompt: Prompt, offers: Sequence[Offer], draw: int) -> str:
        held = self.constrain and self.model.takes_grammar
        form = grammar(
            offers,
            self.form,
            thoughts=self.thoughts,
            sufficiency="sufficient" in self.stop,
            tokens=self.max_new_tokens,
        )
        try:
            generation = await self.model.generate(
                prompt,
                max_new_tokens=self.max_new_tokens,
                temperature=self.temperature,
                draw=draw,
                grammar=form if held else None,
                stop=() if held else ("\nObservation",),
            )
        except ReplyError as error:  # it was cut before it was a whole action
            return error.reply
        return generation.text

    def _demos(self) -> Sequence[Any]:
        return () if self.demos is None else read_demos(self.demos)
