"""Where a run's computing time went, by stage."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ragkit.evaluation.report.scopes import every_turn


@dataclass(slots=True)
class StageTime:
    """What a stage cost over all questions.

    Attributes:
        runs: how often it ran; more than once a question in loops.
        computed: seconds of computing in this run.
        saved: seconds that its answers from the cache, or shared with an equal call, had taken when they were computed.
        calls: what it asked of models and indexes.
        reused: those of the calls that were not computed anew.
        tokens: prompt and completion tokens.
    """

    runs: int = 0
    computed: float = 0.0
    saved: float = 0.0
    calls: int = 0
    reused: int = 0
    tokens: int = 0

    def add(self, other: "StageTime") -> None:
        """Add what the stage cost another question."""
        for item in fields(self):
            setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))


def stage_times(trace: Mapping[str, Any]) -> dict[str, StageTime]:
    """Return what each stage cost one question, by its place in the pipeline, in the order of the trace."""
    times: dict[str, StageTime] = {}
    for stage in trace["stages"]:
        time = times.setdefault(every_turn(stage["stage"]), StageTime())
        time.runs += 1
        for call in stage.get("calls", ()):
            fresh = call["source"] == "run"
            time.calls += 1
            time.reused += not fresh
            time.tokens += sum(call["tokens"])
            if fresh:
                time.computed += call["seconds"]
            else:
                time.saved += call["seconds"]
    return times
