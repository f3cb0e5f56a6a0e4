"""What the trace of a run tells about costs: seconds, and what the cache answered."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ragkit.evaluation.questions import Question

_SCOPE = re.compile(r".*/")

Costs = dict[str, list[float | None]]


def costs_of(traces: Mapping[str, Mapping[str, Any]], questions: Sequence[Question]) -> tuple[Costs, Costs]:
    """Return figures of whole questions, and the computing seconds of each stage, one value per question.

    `seconds` is the computing time of a question's calls, as their share of batches; `cached_share` is the share of all
    calls that the cache answered, with no value for a question without calls. Values are None where a question has no
    trace. A stage in a loop counts once, with all its rounds.
    """
    found = [traces.get(question.id) for question in questions]
    costs: Costs = {
        "seconds": [None if trace is None else trace["seconds"] for trace in found],
        "cached_share": [trace["cached"] / trace["calls"] if trace and trace["calls"] else None for trace in found],
    }
    per_stage = [None if trace is None else _seconds(trace) for trace in found]
    names = dict.fromkeys(name for seconds in per_stage if seconds for name in seconds)
    return costs, {
        name: [None if seconds is None else seconds.get(name, 0.0) for seconds in per_stage] for name in names
    }


def _seconds(trace: Mapping[str, Any]) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for event in trace["stages"]:
        name = _SCOPE.sub("", event["stage"])
        seconds[name] = seconds.get(name, 0.0) + sum(call["seconds"] for call in event.get("calls", ()))
    return seconds
