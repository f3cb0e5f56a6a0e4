"""What an agent did so far, and how it is shown to a model within a limit of tokens."""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ragkit.engine.state import Documents, Passage
from ragkit.errors import need
from ragkit.stages.agents.actions import FINISH, SEARCH, Form, one_line

_SPARED = 2
_SENTENCES, _PASSAGES = 3, 3
_BAR = " | "


@dataclass(frozen=True, slots=True)
class Turn:
    """One action and what came of it.

    Attributes:
        action: `search`, `finish` or a tool's name.
        passages: what the action brought that was not there before.
        said: the observation where it is no passages: why there is none, or why the action failed.
        failed: whether the action could not be carried out.
        new: how many of the first k passages of a search were not there before; None for other actions.
        rungs: what had to be mended in the reply.
    """

    thought: str
    action: str
    query: str
    passages: Documents = ()
    said: str = ""
    failed: bool = False
    new: int | None = None
    rungs: tuple[str, ...] = ()

    def told(self) -> dict[str, Any]:
        """Return the turn as a trace keeps it and a reader wants it."""
        observation = [f"{title_of(passage)} ({passage.id})" for passage in self.passages]
        said = [self.said] if self.said else []
        return {
            "thought": self.thought,
            "action": self.action,
            "query": self.query,
            "observation": [*said, *observation],
            "passages": [passage.id for passage in self.passages],
            "failed": self.failed,
            "new": self.new,
            "mended": list(self.rungs),
        }


@dataclass(frozen=True, slots=True)
class View:
    """A turn as a model sees it; `shown` are its passages' numbers in the whole trajectory and their texts."""

    turn: Turn
    place: int
    shown: tuple[tuple[int, str], ...]


def turn_of(told: Mapping[str, Any], known: Mapping[str, Passage]) -> Turn:
    """Return a turn from what a trace keeps of it; passages that are not among the known ones are left out."""
    passages = tuple(known[name] for name in told["passages"] if name in known)
    said = told["observation"][0] if told["observation"] and not told["passages"] else ""
    return Turn(told["thought"], told["action"], told["query"], passages, said, told["failed"], told["new"])


def title_of(passage: Passage) -> str:
    """Return the title of a passage, or where it is from."""
    return one_line(str(passage.metadata.get("title") or passage.place))


def _whole(turns: Sequence[Turn]) -> tuple[View, ...]:
    views, number = [], 0
    for place, turn in enumerate(turns):
        shown = []
        for passage in turn.passages:
            number += 1
            shown.append((number, f"{title_of(passage)}{_BAR}{one_line(passage.page_content)}"))
        views.append(View(turn, place, tuple(shown)))
    return tuple(views)


def render(views: Sequence[View], form: Form, *, thoughts: bool = True) -> str:
    """Return turns as a model sees them; no text of a passage can begin a line of its own."""
    return "\n\n".join(_fields(view) if form == "fields" else _compact(view, thoughts) for view in views)


def _compact(view: View, thoughts: bool) -> str:
    turn = view.turn
    lines = [f"Thought: {turn.thought}"] if thoughts and turn.thought else []
    lines.append(f"Action: {turn.action}")
    if turn.query:
        lines.append(f"Query: {one_line(turn.query)}")
    if turn.action != FINISH:
        lines.append(f"Observation {view.place}: {one_line(turn.said)}".rstrip())
        lines += [f"[{number}] {text}" for number, text in view.shown]
    return "\n".join(lines)


def _fields(view: View) -> str:
    turn = view.turn
    name = {SEARCH: "AdvancedSearch"}.get(turn.action, turn.action)
    arguments = {"search_query": turn.query} if turn.action == SEARCH else {"input": turn.query}
    observation = turn.said or json.dumps(
        {"search_query": turn.query, "passages_this_hop": [{"long_text": text} for _, text in view.shown]},
        ensure_ascii=False,
    )
    fields = {
        "thought": turn.thought,
        "tool_name": name,
        "tool_args": json.dumps(arguments, ensure_ascii=False),
        "observation": one_line(observation),
    }
    return "\n\n".join(f"[[ ## {name}_{view.place} ## ]]\n{text}" for name, text in fields.items())


def _shrunk(turns: Sequence[Turn]) -> Iterator[tuple[View, ...]]:
    """Yield shorter and shorter views of turns; the turns themselves stay as they are.

    First older observations lose sentences, then passages (the first search and the last two observations are spared),
    then every passage is cut to two sentences and to one, then all but the last observation's to their titles, then the
    oldest turns but those three go, and in the end the oldest go without exception. Text goes before turns: a title
    still says what was found.
    """
    views = _whole(turns)
    yield views
    for passages in (None, _PASSAGES):
        older = range(1, max(1, len(views) - _SPARED))
        views = tuple(_cut(view, _SENTENCES, passages) if place in older else view for place, view in enumerate(views))
        yield views
    for sentences in (2, 1):
        views = tuple(_cut(view, sentences, None) for view in views)
        yield views
    views = (*(_cut(view, 0, None) for view in views[:-1]), *views[-1:])
    yield views
    while len(views) > 1 + _SPARED:
        views = (views[0], *views[2:])
        yield views
    while len(views) > 1:
        views = views[1:]
        yield views
    while views and views[0].shown:
        views = (replace(views[0], shown=views[0].shown[:-1]),)
        yield views


def _cut(view: View, sentences: int, passages: int | None) -> View:
    """Return a view with so many passages of so many sentences each; of none, their titles."""
    spans = need("nupunkt", "nupunkt", "shortening trajectories").sentence_spans
    shown = []
    for number, text in view.shown[:passages]:
        ends = [end for _, end in spans(text)][:sentences] if sentences else [text.find(_BAR)]
        shown.append((number, text[: ends[-1]] if ends and ends[-1] > 0 else text))
    return replace(view, shown=tuple(shown))


async def fit(
    turns: Sequence[Turn], form: Form, limit: int, count: Callable[[str], Awaitable[int]], *, thoughts: bool = True
) -> tuple[str, int]:
    """Return turns as text of at most `limit` tokens, and how often they were shortened to get there.

    Where even the shortest form is longer, that is returned.
    """
    text, level = "", 0
    for level, views in enumerate(_shrunk(turns)):  # noqa: B007 - the last level is returned
        text = render(views, form, thoughts=thoughts)
        if await count(text) <= limit:
            break
    return text, level
