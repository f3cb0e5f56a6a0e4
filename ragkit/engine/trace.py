"""What happened to one question: the stages it went through, what each wrote and called, how long it took."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any, NamedTuple

import numpy as np

from ragkit.engine.calls import CallRecord, QuestionContext
from ragkit.engine.jsonl import dump_line
from ragkit.engine.state import Passage


class Event(NamedTuple):
    """One stage that ran: where (`loop[2]/retrieve.dense`), seconds from the question's start, what it wrote."""

    stage: str
    start: float
    seconds: float
    wrote: Mapping[str, Any]
    error: str | None = None


@dataclass(slots=True)
class Trace:
    """The events of one question in the order in which they ended."""

    id: str
    started: float = 0.0
    events: list[Event] = field(default_factory=list)

    def to_json(self, context: QuestionContext) -> bytes:
        """Return the trace as one line of JSON, the calls filed under their stage; vectors are left out."""
        by_stage: dict[str, list[dict[str, Any]]] = {}
        for call in context.calls:
            by_stage.setdefault(call.stage, []).append(_call(call))
        events = []
        for event in self.events:
            entry = {
                "stage": event.stage,
                "start": round(event.start - self.started, 6),
                "seconds": round(event.seconds, 6),
                "wrote": event.wrote,
            }
            if event.error:
                entry["error"] = event.error
            if event.stage in by_stage:
                entry["calls"] = by_stage.pop(event.stage)
            events.append(entry)
        meter = context.meter
        row = {
            "id": self.id,
            "seconds": round(meter.seconds, 6),
            "calls": len(context.calls),
            "cached": meter.cached,
            "stages": events,
        }
        return dump_line(row, to_jsonable)


def _call(call: CallRecord) -> dict[str, Any]:
    value = None if isinstance(call.reply.value, np.ndarray) else call.reply.value
    return {
        "resource": call.resource,
        "op": call.op,
        "args": call.args,
        "value": value,
        "tokens": [call.reply.prompt_tokens, call.reply.completion_tokens],
        "seconds": round(call.reply.seconds, 6),
        "source": call.source,
    }


def to_jsonable(value: Any) -> Any:
    """Return a JSON form of what stages write; passages keep their id, place, score and origin, not their text."""
    if isinstance(value, Passage):
        return {"id": value.id} | _place(value) | {"score": value.score, "hits": value.hits}
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, np.ndarray):
        return f"array of shape {value.shape}"
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, tuple):  # a named one, such as a hit
        return list(value)
    return str(value)


def _place(passage: Passage) -> dict[str, Any]:
    """Return the document, where it is not the passage itself, and the page, by which evidence is followed."""
    metadata = passage.metadata
    return {
        key: metadata[key]
        for key in ("document", "page")
        if metadata.get(key) is not None and metadata[key] != passage.id
    }
