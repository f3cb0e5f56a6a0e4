"""What a stage asked of models and indexes, in a few words each."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ragkit.evaluation.report.prompts import Turn, pieces, turns
from ragkit.evaluation.report.turns import as_text


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
    return [(name, pieces(arguments[name], texts)) for name in ("query", "text") if isinstance(arguments.get(name), str)]


def reply_of(call: Mapping[str, Any]) -> str:
    """Return a call's answer in words."""
    value = call["value"]
    if value is None:
        return ""
    if isinstance(value, Mapping) and "text" in value:
        return str(value["text"])
    if isinstance(value, Mapping) and "label" in value:
        return chosen(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list) and value and all(isinstance(hit, list) and len(hit) == 2 for hit in value):
        return f"{len(value)} passages, the best one {value[0][0]} ({value[0][1]:.4g})"
    return as_text(value)


def chosen(value: Mapping[str, Any]) -> str:
    """Return the outcome of a choice between fixed texts, with its probability where the model told it."""
    logprobs = value.get("logprobs")
    label = str(value["label"])
    probability = f" ({math.exp(logprobs[label]):.0%})" if logprobs else ""
    return f"{label.strip()}{probability}"
