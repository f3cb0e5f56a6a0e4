"""Why a stage did not keep a passage, as far as its calls tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ragkit.evaluation.report.prompts import standing_in
from ragkit.evaluation.report.replies import reply_of
from ragkit.evaluation.report.scopes import Entry, family


@dataclass(frozen=True, slots=True)
class Dropped:
    """A passage that a stage had and did not hand on; `rank` counts from 1 in what it had."""

    id: str
    rank: int
    score: float | None
    why: str


def dropped(
    path: str, had: Sequence[Entry], kept: Sequence[Entry], calls: Sequence[Mapping[str, Any]], texts: Mapping[str, str]
) -> list[Dropped]:
    """Return the passages that a stage had and did not keep, each with the reason."""
    ids = {entry["id"] for entry in kept}
    lost = [(rank, entry) for rank, entry in enumerate(had, 1) if entry["id"] not in ids]
    if not lost:
        return []
    verdicts = _verdicts(calls, {entry["id"]: texts[entry["id"]] for entry in had if entry["id"] in texts})
    lowest = kept[-1].get("score") if kept and family(path) == "rerank" else None
    return [
        Dropped(
            entry["id"],
            rank,
            entry.get("score"),
            _why(path, rank, len(had), verdicts.get(entry["id"]), lowest),
        )
        for rank, entry in lost
    ]


def _why(path: str, rank: int, count: int, verdict: str | None, lowest: float | None) -> str:
    place = f"it was number {rank} of {count}"
    if verdict is None:
        return "not among what this search found" if family(path) == "retrieve" else place
    bar = "" if lowest is None else f"; the last one kept has {lowest:.4g}"
    return f"{verdict}{bar}"


def _verdicts(calls: Sequence[Mapping[str, Any]], texts: Mapping[str, str]) -> dict[str, str]:
    """Return what the calls that were about a single passage said of it, by passage."""
    by_text: dict[str, list[str]] = {}
    for identifier, text in texts.items():
        by_text.setdefault(text, []).append(identifier)
    verdicts: dict[str, str] = {}
    for call in calls:
        arguments = call["args"]
        if "prompt" in arguments:
            about = standing_in(arguments["prompt"], texts)
        else:
            about = by_text.get(arguments.get("text", ""), [])
        if about and len({texts[identifier] for identifier in about}) == 1:
            verdicts.update(dict.fromkeys(about, _verdict(call)))
    return verdicts


def _verdict(call: Mapping[str, Any]) -> str:
    reply = reply_of(call).strip()
    forms = {
        "count_tokens": f"its {reply} tokens did not fit",
        "score": f"scored {reply}",
        "choose": f"the model chose: {reply}",
    }
    return forms.get(call["op"], f"the model said: {reply}")
