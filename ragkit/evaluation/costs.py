"""What the trace of a run tells about costs: seconds, and what the cache answered."""

from collections.abc import Mapping, Sequence

from ragkit.evaluation.questions import Question
from ragkit.evaluation.traces import Digest

Costs = dict[str, list[float | None]]


def costs_of(traces: Mapping[str, Digest], questions: Sequence[Question]) -> tuple[Costs, Costs]:
    """Return figures of whole questions, and the computing seconds of each stage, one value per question.

    `seconds` is the computing time of a question's calls, as their share of batches; `cached_share` is the share of all
    calls that the cache answered, with no value for a question without calls. Values are None where a question has no
    trace. A stage in a loop counts once, with all its rounds.
    """
    found = [traces.get(question.id) for question in questions]
    costs: Costs = {
        "seconds": [None if trace is None else trace.seconds for trace in found],
        "cached_share": [
            trace.calls["cache"] / trace.calls.total() if trace and trace.calls else None for trace in found
        ],
    }
    per_stage = [None if trace is None else trace.stage_seconds for trace in found]
    names = dict.fromkeys(name for seconds in per_stage if seconds for name in seconds)
    return costs, {
        name: [None if seconds is None else seconds.get(name, 0.0) for seconds in per_stage] for name in names
    }
