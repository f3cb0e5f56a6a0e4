"""The story of one question: what each stage wrote, found, dropped and asked, up to the answer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.report.calls import CallStory, call_stories
from ragkit.evaluation.report.dropped import Dropped, dropped
from ragkit.evaluation.report.prompts import Turn, turns
from ragkit.evaluation.report.replies import as_text
from ragkit.evaluation.report.scopes import Entry, Rankings, round_of
from ragkit.evaluation.report.turns import LoopTurn, loop_turn, trajectory

_SHOWN_APART = frozenset({"documents", "vars.context", "queries", "answer", "citations"})
# Characters of a value that a stage wrote; whole it stays in trace.jsonl.
_LONGEST = 6_000


@dataclass(frozen=True, slots=True)
class Found:
    """A passage in a ranking that a stage wrote.

    Attributes:
        hits: how it was found: by what, for which query, at which rank, with which score; empty where an earlier
            stage handed it on as it was.
    """

    id: str
    score: float | None
    hits: Sequence[Sequence[Any]]


@dataclass(slots=True)
class StepStory:
    """What one stage did, once.

    Attributes:
        stage: its path, `loop[2]/retrieve.dense`.
        seconds: computing time of its calls; `computed` is the part that was computed for this question in this run.
        queries: the queries it wrote, None if it wrote none.
        ranking: `documents` or `context`, whichever it wrote, or empty.
        found: that ranking, best first.
        dropped: passages that it had and did not hand on.
        wrote: its other fields, each with a reader's text.
    """

    stage: str
    seconds: float
    computed: float
    queries: Sequence[str] | None
    ranking: str
    found: list[Found]
    dropped: list[Dropped]
    wrote: list[tuple[str, str]]
    calls: list[CallStory]
    error: str | None


@dataclass(slots=True)
class Story:
    """All that is known about how a question came to its answer, beside its prediction.

    Attributes:
        steps: the stages in the order in which they ended.
        turns: the rounds of loops, in order.
        prompt: the turns of the prompt that the answer was written from; empty if no model wrote one.
        prompt_stage: the stage that sent it.
        traced: False when the run kept no trace of the question.
    """

    steps: list[StepStory] = field(default_factory=list)
    turns: list[LoopTurn] = field(default_factory=list)
    prompt: list[Turn] = field(default_factory=list)
    prompt_stage: str = ""
    traced: bool = True


def tell(prediction: PredictionRow, trace: Mapping[str, Any] | None, texts: Mapping[str, str]) -> Story:
    """Return the story of a question.

    Args:
        prediction: what came out.
        trace: the question's line of `trace.jsonl`, if the run has one.
        texts: passage texts by id that the prediction does not hold (what was dropped on the way).
    """
    if trace is None:
        return Story(traced=False)
    stages: Sequence[Mapping[str, Any]] = trace["stages"]
    known = _known_texts(prediction, stages, texts)
    rankings = Rankings()
    story = Story(steps=[_step(stage, rankings, known) for stage in stages], turns=_turns(stages))
    for stage in stages:
        for call in stage.get("calls", ()):
            if "prompt" in call["args"] and ("answer" in stage["wrote"] or not story.prompt):
                story.prompt, story.prompt_stage = turns(call["args"]["prompt"], known), stage["stage"]
    return story


def _known_texts(
    prediction: PredictionRow, stages: Sequence[Mapping[str, Any]], texts: Mapping[str, str]
) -> dict[str, str]:
    known = {passage["id"]: passage["text"] for passage in prediction["documents"]}
    for stage in stages:
        for entry in ranking_of(stage)[1]:
            if entry["id"] not in known and entry["id"] in texts:
                known[entry["id"]] = texts[entry["id"]]
    return known


def ranking_of(stage: Mapping[str, Any]) -> tuple[str, Sequence[Entry]]:
    """Return the name and the passages of the ranking that a stage wrote, or nothing."""
    for name in ("documents", "vars.context"):
        if name in stage["wrote"]:
            return name.removeprefix("vars."), stage["wrote"][name]
    return "", ()


def _step(stage: Mapping[str, Any], rankings: Rankings, texts: Mapping[str, str]) -> StepStory:
    path = stage["stage"]
    calls = stage.get("calls", ())
    name, ranking = ranking_of(stage)
    had = rankings.before(path) if name else []
    if name == "documents":
        rankings.write(path, ranking)
    hits = {entry["id"]: entry["hits"] for entry in had}
    return StepStory(
        stage=path,
        seconds=sum(call["seconds"] for call in calls),
        computed=sum(call["seconds"] for call in calls if call["source"] == "run"),
        queries=stage["wrote"].get("queries"),
        ranking=name,
        found=[
            Found(entry["id"], entry["score"], () if hits.get(entry["id"]) == entry["hits"] else entry["hits"])
            for entry in ranking
        ],
        dropped=dropped(path, had, ranking, calls, texts) if name else [],
        wrote=[(name, _shown(value)) for name, value in _key_by_key(stage["wrote"])],
        calls=call_stories(calls, texts),
        error=stage.get("error"),
    )


def _turns(stages: Sequence[Mapping[str, Any]]) -> list[LoopTurn]:
    rounds: dict[str, list[Mapping[str, Any]]] = {}
    told: list[LoopTurn] = []
    for stage in stages:
        if place := round_of(stage["stage"]):
            rounds.setdefault(place, []).append(stage)
        for name, value in stage["wrote"].items():
            if name not in _SHOWN_APART:
                told += trajectory(stage["stage"], value)
    return [loop_turn(place, members) for place, members in rounds.items()] + told


def _key_by_key(wrote: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the fields that are not shown elsewhere, those of a mapping one by one."""
    for name, value in wrote.items():
        if name in _SHOWN_APART or trajectory("", value):
            continue
        if isinstance(value, Mapping) and value:
            yield from ((f"{name}.{key}", item) for key, item in value.items())
        else:
            yield name, value


def _shown(value: Any) -> str:
    text = as_text(value)
    left = len(text) - _LONGEST
    return text if left <= 0 else f"{text[:_LONGEST]} … and {left:,} more characters"
