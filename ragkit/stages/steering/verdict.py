"""A verdict on numbered texts: which of them to rely on, and the answer; how it is written, and how it is read.

Source: Oppugno-Rushi/RW-Steering, its project page, for what a verdict says; the one canonical grammar is ragkit's.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Form = Literal["text", "json"]

NONE = "none"

_CANONICAL = re.compile(
    r"^\s*Unreliable:(?P<bad>[^\n]*)\nReliable:(?P<good>[^\n]*)(?:\nAnswer:[ ]?(?P<answer>.*))?\Z", re.DOTALL
)
_LIST = r"(?P<{name}>\[?\d+(?:(?:\s*,\s*(?:and\s+)?|\s+and\s+)\d+)*\]?)"
_NOT_A_LIST = r"[^\d\n.]{0,80}?"
_BAD = re.compile(
    rf"(?:\bunreliable|\binappropriate|\buntrustworthy)\b{_NOT_A_LIST}{_LIST.format(name='bad')}", re.IGNORECASE
)
_GOOD = (
    re.compile(rf"(?<!un)\b(?:reliable|trustworthy)\b{_NOT_A_LIST}{_LIST.format(name='good')}", re.IGNORECASE),
    re.compile(rf"\bonly\b{_NOT_A_LIST}{_LIST.format(name='good')}", re.IGNORECASE),
)
_ANSWER = re.compile(
    r"\banswer(?:\s+to\s+(?:the\s+question\s+)?[\"“'][^\n]*?[\"”'])?(?:\s+is\b\s*:?|\s*:)\s*(?P<answer>.+)",
    re.IGNORECASE | re.DOTALL,
)
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which of the texts 1 to `count` a model relies on, and its answer.

    Attributes:
        unreliable: numbers, ascending.
        reliable: numbers, ascending; none of them is in `unreliable`.
        answer: as it was written; None if there is none.
        warnings: what was wrong with the reply, such as `out of range`; what has none can be taken at its word.
    """

    unreliable: tuple[int, ...]
    reliable: tuple[int, ...]
    answer: str | None
    warnings: tuple[str, ...] = ()


def render_verdict(unreliable: Iterable[int], reliable: Iterable[int], answer: str, form: Form = "text") -> str:
    """Return the reply that a verdict is written as."""
    bad, good = sorted(unreliable), sorted(reliable)
    if form == "json":
        return json.dumps({"unreliable": bad, "reliable": good, "answer": answer}, ensure_ascii=False)
    return f"{render_judgement(bad, good)}\nAnswer: {answer}"


def render_judgement(unreliable: Iterable[int], reliable: Iterable[int]) -> str:
    """Return the two lists of a verdict in the form `text`, without the answer."""
    return f"Unreliable: {_listed(unreliable)}\nReliable: {_listed(reliable)}"


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(numbers))) or NONE


def parse_verdict(reply: str, count: int) -> Verdict:
    """Read a reply in either form, or in the prose of the paper's page.

    Whatever it says, no number leaves 1 to `count`.
    A number in both lists counts as unreliable, one in neither is not relied on. Of a single list the other one is the
    complement. Without any list nothing is relied on.
    """
    found = _of_json(reply) or _of_text(reply) or _of_prose(reply)
    bad_numbers, good_numbers, answer = found
    warnings: dict[str, None] = {}

    def checked(numbers: Sequence[int] | None) -> set[int]:
        if numbers is None:
            return set()
        inside = [number for number in numbers if 1 <= number <= count]
        if len(inside) < len(numbers):
            warnings["out of range"] = None
        if len(set(inside)) < len(inside):
            warnings["duplicate"] = None
        return set(inside)

    bad, good = checked(bad_numbers), checked(good_numbers)
    everything = set(range(1, count + 1))
    if bad_numbers is None and good_numbers is None:
        warnings["no judgement"] = None
    elif bad_numbers is None:
        warnings["no unreliable list"] = None
        bad = everything - good
    elif good_numbers is None:
        warnings["no reliable list"] = None
        good = everything - bad
    else:
        if bad & good:
            warnings["in both lists"] = None
        if everything - bad - good:
            warnings["in no list"] = None
    if answer is None:
        warnings["no answer"] = None
    return Verdict(tuple(sorted(bad)), tuple(sorted(good - bad)), answer, tuple(warnings))


_Found = tuple[list[int] | None, list[int] | None, str | None]


def _of_json(reply: str) -> _Found | None:
    try:
        value: Any = json.loads(reply)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    answer = value.get("answer")
    return _integers(value.get("unreliable")), _integers(value.get("reliable")), answer if _is_text(answer) else None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _integers(value: Any) -> list[int] | None:
    if not isinstance(value, list):
        return None
    return [number for number in value if isinstance(number, int) and not isinstance(number, bool)]


def _of_text(reply: str) -> _Found | None:
    match = _CANONICAL.match(reply)
    if match is None:
        return None
    return _numbers(match["bad"]), _numbers(match["good"]), match["answer"] or None


def _numbers(listed: str) -> list[int] | None:
    """Return the numbers of a written list; None if it is neither numbers nor `none`."""
    if listed.strip().casefold() == NONE:
        return []
    return [int(number) for number in _NUMBER.findall(listed)] or None


def _of_prose(reply: str) -> _Found:
    answer = _ANSWER.search(reply)
    judged = reply[: answer.start()] if answer else reply
    bad = _BAD.search(judged)
    good = next((match for pattern in _GOOD if (match := pattern.search(judged))), None)
    return (
        _numbers(bad["bad"]) if bad else None,
        _numbers(good["good"]) if good else None,
        answer["answer"].strip() or None if answer else None,
    )


def verdict_grammar(count: int, *, with_answer: bool) -> str:
    """Return the Lark grammar of verdicts in the form `text`: each list ascending, within 1 to `count`, or `none`."""
    lines = [f'start: "Unreliable: " list "\\nReliable: " list{" ANSWER" if with_answer else ""}']
    heads = " | ".join(f"n{number}" for number in range(1, count + 1))
    lines.append(f'list: "{NONE}" | {heads}')
    for number in range(1, count + 1):
        rest = " | ".join(f"n{later}" for later in range(number + 1, count + 1))
        lines.append(f'n{number}: "{number}"' + (f' (", " ({rest}))?' if rest else ""))
    if with_answer:
        lines.append(r"ANSWER: /\nAnswer: [^\n]+/")
    return "\n".join(lines) + "\n"


def verdict_schema(count: int, *, with_answer: bool) -> dict[str, Any]:
    """Return the JSON Schema of verdicts in the form `json`."""
    numbers = {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": count}, "maxItems": count}
    properties: dict[str, Any] = {"unreliable": numbers, "reliable": numbers}
    if with_answer:
        properties["answer"] = {"type": "string"}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
