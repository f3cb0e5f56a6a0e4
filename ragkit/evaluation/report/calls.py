"""What a stage asked of models and indexes, in a few words each."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ragkit.evaluation.report.prompts import Turn, pieces, turns
from ragkit.evaluation.report.turns import as_text


@dataclass(slots=True)
class CallStory:
    """A call, or several of the same kind that only count something.

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


def call_stories(calls: Iterable[Mapping[str, Any]], texts: Mapping[str, str]) -> list[CallStory]:
    """Return a stage's calls in order; token counts are one line for each model."""
    stories: list[CallStory] = []
    counts: dict[tuple[str, str], CallStory] = {}
    for call in calls:
        counting = call["op"] == "count_tokens"
        key = (call["resource"], call["source"])
        if counting and key in counts:
            counts[key].count += 1
            counts[key].seconds += call["seconds"]
            continue
        story = CallStory(
            resource=call["resource"],
            op=call["op"],
            count=1,
            tokens=(call["tokens"][0], call["tokens"][1]),
            seconds=call["seconds"],
            source=call["source"],
            sent=[] if counting else _sent(call["args"], texts),
            reply="" if counting else reply_of(call),
        )
        stories.append(story)
        if counting:
            counts[key] = story
    return stories


def _sent(arguments: Mapping[str, Any], texts: Mapping[str, str]) -> list[Turn]:
    if "prompt" in arguments:
        return turns(arguments["prompt"], texts)
    return [(name, pieces(arguments[name], texts)) for name in ("query", "text") if isinstance(arguments.get(name), str)]


def reply_of(call: Mapping[str, Any]) -> str:
    """Return a call's answer in words."""
    value = call["value"]
    if value is None:
        return "a vector" if call["op"] == "embed" else ""
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
