"""What evaluation takes from `trace.jsonl`: digests, small enough to be held for all questions at once."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ragkit.engine.run_folder import TRACE, read_lines, understood
from ragkit.evaluation.prediction import RankedPassage


class StageEvent(NamedTuple):
    """A stage that ran for a question.

    Attributes:
        path: where, with round numbers: `loop[2]/retrieve.dense`.
        documents: the passages that it wrote to `documents`, None if it wrote none there.
        context: the same of `vars.context`.
        failed: whether it failed, or a budget ended the question in it.
    """

    path: str
    documents: list[RankedPassage] | None
    context: list[RankedPassage] | None
    failed: bool


@dataclass(frozen=True, slots=True)
class Digest:
    """One question's trace.

    Attributes:
        seconds: computing time of its calls, as their share of batches.
        stages: in the order in which they ended.
        calls: how many, by where their answers came from: `run`, `cache`, `joined`.
        stage_seconds: computing time of the calls of each step, all its rounds together.
    """

    seconds: float
    stages: list[StageEvent]
    calls: Counter[str]
    stage_seconds: dict[str, float]


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls to models and indexes by where their answers came from.

    Attributes:
        made: computed or sent in this run.
        cached: known from an earlier run (or an earlier start of this one).
        joined: equal to a call that another question had under way.
    """

    made: int
    cached: int
    joined: int

    @property
    def known(self) -> int:
        """Those that cost nothing."""
        return self.cached + self.joined


def read_traces(folder: Path) -> dict[str, Digest]:
    """Return the digests of a run by question id; of a question that was run again, the last one.

    Raises:
        InputError: the trace is of another version.
    """
    with understood(folder / TRACE):
        return {row["id"]: digest(row) for row in read_lines(folder / TRACE)}


def digest(row: Mapping[str, Any]) -> Digest:
    """Return the digest of a line of `trace.jsonl`."""
    stages = [
        StageEvent(
            event["stage"],
            _passages(event["wrote"].get("documents")),
            _passages(event["wrote"].get("vars.context")),
            "error" in event,
        )
        for event in row["stages"]
    ]
    calls = Counter(call["source"] for event in row["stages"] for call in event.get("calls", ()))
    seconds: dict[str, float] = {}
    for event in row["stages"]:
        name = event["stage"].rpartition("/")[2]
        seconds[name] = seconds.get(name, 0.0) + sum(call["seconds"] for call in event.get("calls", ()))
    return Digest(row["seconds"], stages, calls, seconds)


def count_calls(digests: Iterable[Digest]) -> Calls:
    """Return the calls of all questions together."""
    total = sum((own.calls for own in digests), Counter[str]())
    return Calls(total["run"], total["cache"], total["joined"])


def _passages(written: list[Mapping[str, Any]] | None) -> list[RankedPassage] | None:
    if written is None:
        return None
    return [
        {"id": passage["id"], "score": passage["score"], "text": "", "document": passage.get("document"),
         "page": passage.get("page")}
        for passage in written
    ]  # fmt: skip
