"""Loops as a reader wants them: Thought, Action, Observation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ragkit.evaluation.report.replies import as_text, reply_of

_THOUGHT = ("thought", "next_thought", "reasoning")
_ACTION = ("action", "tool_name", "tool", "next_tool_name")
_ARGUMENTS = ("action_input", "tool_args", "args", "next_tool_args", "query")
_OBSERVATION = ("observation", "result")
_TURN = frozenset((*_THOUGHT, *_ACTION, *_OBSERVATION))


@dataclass(frozen=True, slots=True)
class LoopTurn:
    """One turn of a loop; texts are empty where the turn has none of a kind.

    Attributes:
        place: the round's path in the pipeline (`loop[2]`), or the stage and number of an agent's own turn.
        note: what was odd about it: what had to be mended in a reply, that it failed, that it brought nothing new.
    """

    place: str
    thought: str
    action: str
    observation: str
    note: str = ""


def trajectory(place: str, value: Any) -> list[LoopTurn]:
    """Return the turns of an agent's own loop, which it wrote as a list of mappings; none if it is no such list."""
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        return []
    if not all(isinstance(item, Mapping) and _TURN & item.keys() for item in value):
        return []
    return [
        LoopTurn(f"{place} {number}", _first(item, _THOUGHT), _action(item), _first(item, _OBSERVATION), _note(item))
        for number, item in enumerate(value, 1)
    ]


def _note(item: Mapping[str, Any]) -> str:
    mended = item.get("mended")
    notes = [f"mended: {', '.join(map(str, mended))}"] if isinstance(mended, Sequence) and mended else []
    notes += ["failed"] if item.get("failed") is True else []
    notes += ["the first passages of this search were all there before"] if item.get("new") == 0 else []
    return "; ".join(notes)


def _action(item: Mapping[str, Any]) -> str:
    arguments = _first(item, _ARGUMENTS)
    name = _first(item, _ACTION)
    return f"{name}: {arguments}" if name and arguments else name or arguments


def _first(item: Mapping[str, Any], keys: Sequence[str]) -> str:
    return next((as_text(item[key]) for key in keys if item.get(key)), "")


def loop_turn(place: str, stages: Sequence[Mapping[str, Any]]) -> LoopTurn:
    """Return a round of the pipeline's `loop` as a turn.

    What its stages wrote as `vars.thought`, `vars.action`, `vars.observation` is taken as it is. Otherwise the thought
    is the models' text, the action the searches, and the observation the passages that came with them.
    """
    written = {name.removeprefix("vars."): value for stage in stages for name, value in stage["wrote"].items()}
    calls = [call for stage in stages for call in stage.get("calls", ())]
    thoughts = [reply_of(call).strip() for call in calls if call["op"] == "generate"]
    searches = dict.fromkeys(str(call["args"]["query"]) for call in calls if _is_search(call))
    passages = [entry["id"] for entry in written.get("documents") or () if isinstance(entry, Mapping)]
    return LoopTurn(
        place,
        _first(written, _THOUGHT) or "\n".join(thoughts),
        _action(written) or "\n".join(f"search: {query}" for query in searches),
        _first(written, _OBSERVATION) or "\n".join(passages),
    )


def _is_search(call: Mapping[str, Any]) -> bool:
    return "query" in call["args"] and call["op"] != "score"
