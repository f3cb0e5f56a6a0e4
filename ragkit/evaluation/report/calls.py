"""What a stage asked of models and indexes, in a few words each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ragkit.evaluation.report.prompts import Turn, pieces, turns
from ragkit.evaluation.report.replies import reply_of

_MEASURES = frozenset({"count_tokens", "score", "embed"})


@dataclass(slots=True)
class CallStory:
    """A call, or several that only measure texts: count tokens, score, embed.

    Attributes:
        tokens: of prompt and completion.
        seconds: computing time, the call's share of its batch; also where the answer came from the cache.
        source: `run` (computed), `cache`, or `joined` (an equal call was on its way).
        sent: the prompt or text, with passages as references.
        reply: the answer in words.
    """

    resource: str
    op: str
    count: int
    tokens: tuple[int, int]
    seconds: float
    source: str
    sent: list[Turn]
    reply: str

    def add(self, call: Mapping[str, Any]) -> None:
        """Add another call of the same kind."""
        self.count += 1
        self.tokens = (self.tokens[0] + call["tokens"][0], self.tokens[1] + call["tokens"][1])
        self.seconds += call["seconds"]


def call_stories(calls: Iterable[Mapping[str, Any]], texts: Mapping[str, str]) -> list[CallStory]:
    """Return a stage's calls in order; calls that only measure a text are one line for each model."""
    stories: list[CallStory] = []
    measured: dict[tuple[str, str, str], CallStory] = {}
    for call in calls:
        measures = call["op"] in _MEASURES
        key = (call["resource"], call["op"], call["source"])
        if measures and key in measured:
            measured[key].add(call)
            continue
        story = CallStory(
            resource=call["resource"],
            op=call["op"],
            count=1,
            tokens=(call["tokens"][0], call["tokens"][1]),
            seconds=call["seconds"],
            source=call["source"],
            sent=[] if measures else _sent(call["args"], texts),
            reply="" if measures else reply_of(call),
        )
        stories.append(story)
        if measures:
            measured[key] = story
    return stories


def _sent(arguments: Mapping[str, Any], texts: Mapping[str, str]) -> list[Turn]:
    if "prompt" in arguments:
        return turns(arguments["prompt"], texts)
    return [
        (name, pieces(arguments[name], texts)) for name in ("query", "text") if isinstance(arguments.get(name), str)
    ]
