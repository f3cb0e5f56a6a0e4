"""Actions of an agent: how they are written, by which grammar a model is held to that, and how replies are read.

Two forms: `compact` is three lines (Thought, Action, Query), `fields` is FrugalRAG's own, with headers as DSPy writes
them and arguments as JSON. A reply is read down a ladder; each rung mends one kind of fault, and has a name, so that
what had to be mended is counted.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

SEARCH, FINISH = "search", "finish"

Form = Literal["compact", "fields"]

_QUERY = "search_query"
_PAPER_NAME = {SEARCH: "AdvancedSearch"}

_FENCE = re.compile(r"```[\w-]*[ \t]*\n?(.*?)```", re.DOTALL)
_LINE = re.compile(r"^[ \t*#]*(thought|answerable|action|query|input)[ \t*]*:[ \t*]*", re.IGNORECASE | re.MULTILINE)
_FIELD = re.compile(r"^[ \t]*\[\[ ## (\w+) ## \]\][ \t]*", re.MULTILINE)
_INLINE = re.compile(r"([A-Za-z_]\w*)\s*[\[(]\s*(.*?)\s*[\])]", re.DOTALL)
_FINISHES = ("finish", "answer", "done", "stop", "complete", "none")
_SEARCHES = ("search", "lookup", "look_up", "retriev", "query", "find", "google")
_BARE_WORDS = 40


@dataclass(frozen=True, slots=True)
class Offer:
    """An action that a model may take.

    Attributes:
        name: how it is called.
        description: what it is good for.
        schema: JSON Schema of its arguments; None for `finish`, and for searches, which take a text.
    """

    name: str
    description: str
    schema: Mapping[str, Any] | None = None

    @property
    def argument(self) -> str | None:
        """The name of its only argument, if that is a text; then it is given as it is, not as JSON."""
        properties = (self.schema or {}).get("properties", {})
        if len(properties) != 1:
            return None
        ((name, kind),) = properties.items()
        return str(name) if kind.get("type", "string") == "string" else None

    @property
    def takes_json(self) -> bool:
        """Whether its arguments are written as a JSON object."""
        return self.schema is not None and self.argument is None


@dataclass(frozen=True, slots=True)
class Action:
    """What a model decided to do.

    Attributes:
        thought: why; empty if it does not say.
        name: `search`, `finish`, or the name of a tool.
        query: what to search for, or a tool's argument; a JSON object where the tool takes several.
        answerable: whether the evidence is enough, where that was asked for and told.
    """

    thought: str
    name: str
    query: str = ""
    answerable: bool | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """A reply as it was read.

    Attributes:
        action: None where there is no action in it.
        rungs: what had to be mended, in order; empty for a reply of the form that was asked for.
    """

    action: Action | None
    rungs: tuple[str, ...] = ()


def write(action: Action, form: Form, *, thoughts: bool = True, sufficiency: bool = False) -> str:
    """Return an action as a model should write it."""
    if form == "fields":
        arguments = {_QUERY: action.query} if action.name == SEARCH else _arguments(action.query)
        fields = {
            "next_thought": action.thought,
            "next_tool_name": _PAPER_NAME.get(action.name, action.name),
            "next_tool_args": json.dumps(arguments, ensure_ascii=False),
        }
        written = "\n\n".join(f"[[ ## {name} ## ]]\n{text}" for name, text in fields.items())
        return f"{written}\n\n[[ ## completed ## ]]"
    lines = [f"Thought: {one_line(action.thought)}"] if thoughts else []
    if sufficiency:
        lines.append(f"Answerable: {'yes' if action.answerable else 'no'}")
    lines.append(f"Action: {action.name}")
    if action.name != FINISH:
        lines.append(f"Query: {one_line(action.query)}")
    return "\n".join(lines)


def _arguments(query: str) -> Any:
    if not query:
        return {}
    try:
        return json.loads(query)
    except ValueError:
        return {"input": query}


def grammar(offers: Sequence[Offer], form: Form, *, thoughts: bool, sufficiency: bool, tokens: int) -> str:
    """Return the Lark grammar of the actions, in which no reply is longer than `tokens`.

    Args:
        offers: the actions that may be taken.
        form: how they are written.
        thoughts: whether a thought comes first.
        sufficiency: whether the model says if the evidence is enough.
        tokens: the most tokens of a reply, but for the JSON arguments of a tool; headers take up to 64 of them, and
            the thought half of the rest.
    """
    room = max(16, tokens - 64)
    thought, query = (room // 2, room - room // 2) if thoughts or form == "fields" else (0, room)
    rules: list[str] = []
    turns: list[str] = []
    for number, offer in enumerate(offers):
        argument = "query"
        if offer.takes_json:
            argument = f"args_{number}"
            style = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
            # No limit of tokens: it would end the object in its middle.
            rules.append(f"{argument}: %json {json.dumps({**(offer.schema or {}), 'x-guidance': style})}")
        turns.append(_turn(offer, form, argument))
    if any("query" in turn.split() for turn in turns):
        pattern = r'/[^\x00-\x20"\\][^\x00-\x1f"\\]*/' if form == "fields" else r"/[^\s][^\n]*/"
        rules.append(f"query[max_tokens={query}]: {pattern}")
    lead = ""
    if form == "fields":
        lead = '"[[ ## next_thought ## ]]\\n" thought "\\n\\n[[ ## next_tool_name ## ]]\\n" '
    else:
        lead += '"Thought: " thought "\\n" ' if thoughts else ""
        lead += '"Answerable: " ("yes" | "no") "\\n" ' if sufficiency else ""
        lead += '"Action: " '
    if "thought" in lead.split():
        rules.append(f"thought[max_tokens={thought}]: /[^\\s][^\\n]*/")
    return "\n".join([f"start: {lead}({' | '.join(turns)})", *rules]) + "\n"


def _turn(offer: Offer, form: Form, argument: str) -> str:
    """Return the grammar of an action after the word that leads to it."""
    if form == "compact":
        return f'"{offer.name}"' if offer.name == FINISH else f'"{offer.name}\\nQuery: " {argument}'
    begin = f'"{_PAPER_NAME.get(offer.name, offer.name)}\\n\\n[[ ## next_tool_args ## ]]\\n'
    end = '"\\n\\n[[ ## completed ## ]]"'
    if offer.name == FINISH:
        return f'{begin}{{}}" {end}'
    if offer.takes_json:
        return f'{begin}" {argument} {end}'
    key = _QUERY if offer.name == SEARCH or offer.argument is None else offer.argument
    return f'{begin}{{\\"{key}\\": \\"" {argument} "\\"}}" {end}'


def read(reply: str, offers: Sequence[Offer]) -> Read:
    """Return the action of a reply, read down the ladder; nothing that a model writes makes it raise.

    The rungs, in the order in which they are tried: `fence` (code fences taken off), `json` (a JSON object, repaired if
    need be), `inline` (`search[...]`), `bare` (a single line is a query), `alias` (another name of an action),
    `junk` (arguments of `finish` dropped), `unknown_tool` (a query for a tool that is not there is searched for).

    Args:
        reply: what the model wrote.
        offers: the actions that may be taken; `finish` may be missing, and does not end the loop then.
    """
    rungs: list[str] = []
    text = reply.strip()
    fenced = _FENCE.search(text)
    if fenced is not None:
        text = f"{text[: fenced.start()]}{fenced[1]}{text[fenced.end() :]}".strip()
        rungs.append("fence")
    found = _headers(text) or _fields(text, rungs) or _object(text, rungs) or _inline(text, rungs) or _bare(text, rungs)
    return _checked(found, offers, rungs) if found is not None else Read(None, tuple(rungs))


def _headers(text: str) -> Action | None:
    """Read the compact form; of a header that comes twice, the first counts."""
    parts: dict[str, str] = {}
    for name, value in _sections(_LINE, text):
        parts.setdefault(name.lower().replace("input", "query"), value)
    if "action" not in parts:
        return None
    name = parts["action"].strip().splitlines()[0].strip(" *`\"'.") if parts["action"].strip() else ""
    told = parts.get("answerable", "").strip().lower()
    answerable = told.startswith("y") if told.startswith(("y", "n")) else None
    return Action(one_line(parts.get("thought", "")), name, _first_paragraph(parts.get("query", "")), answerable)


def _sections(header: re.Pattern[str], text: str) -> Iterator[tuple[str, str]]:
    """Yield what stands between headers, with the name of the header before it."""
    matches = list(header.finditer(text))
    ends = [match.start() for match in matches[1:]] + [len(text)]
    for match, end in zip(matches, ends, strict=False):  # without a header there is an end all the same
        yield match[1], text[match.end() : end]


def _first_paragraph(text: str) -> str:
    text = text.strip()
    return text if text.startswith("{") else text.partition("\n")[0].strip()


def _fields(text: str, rungs: list[str]) -> Action | None:
    """Read FrugalRAG's form: text on a header's own line counts, of a header that comes twice the first."""
    parts: dict[str, str] = {}
    for header, value in _sections(_FIELD, text):
        parts.setdefault(header.removeprefix("next_"), value.strip())
    name = parts.get("tool_name")
    if name is None:
        return None
    return Action(one_line(parts.get("thought", "")), name.strip(" `\"'"), _query(parts.get("tool_args", ""), rungs))


def _object(text: str, rungs: list[str]) -> Action | None:
    """Read a JSON object with the name of an action and its arguments, however they are called."""
    if "{" not in text:
        return None
    value = _json(text[text.index("{") :], rungs)
    if not isinstance(value, dict):
        return None
    plain = {str(key).lower().removeprefix("next_"): item for key, item in value.items()}
    name = next((plain[key] for key in ("action", "tool_name", "tool", "name") if plain.get(key)), None)
    arguments = next(
        (plain[key] for key in ("args", "tool_args", "arguments", "action_input", "input", "query", _QUERY)
         if plain.get(key)), "",
    )  # fmt: skip
    if name is None and not arguments:
        return None
    rungs.append("json")
    return Action(one_line(str(plain.get("thought", ""))), str(name or SEARCH), _text_of(arguments))


def _inline(text: str, rungs: list[str]) -> Action | None:
    """Read `search[query]` and `search(query)`, if that is all of the reply's last line."""
    last = text.splitlines()[-1].strip() if text else ""
    match = _INLINE.fullmatch(last)
    if match is None:
        return None
    rungs.append("inline")
    thought = text[: -len(last)].strip()
    return Action(one_line(thought), match[1], match[2].strip("\"'"))


def _bare(text: str, rungs: list[str]) -> Action | None:
    """Take a single line for a query, or for the bare name of an action."""
    line = text.strip(" \"'`")
    if not line or "\n" in line or len(line.split()) > _BARE_WORDS or _FIELD.search(line) or _LINE.search(line):
        return None
    rungs.append("bare")
    return Action("", FINISH) if line.lower().strip(".") == FINISH else Action("", SEARCH, line)


def _checked(action: Action, offers: Sequence[Offer], rungs: list[str]) -> Read:
    """Return an action whose name is on offer, and whose query is there if it needs one."""
    known = {offer.name for offer in offers}
    name, query = action.name, action.query
    inline = _INLINE.fullmatch(name)
    if name not in known and inline is not None:
        name, query = inline[1], query or inline[2].strip("\"'")
        rungs.append("inline")
    if name not in known:
        alias = _alias(name, known)
        if alias is not None:
            if name != _PAPER_NAME.get(alias):
                rungs.append("alias")
            name = alias
        elif query and not _is_finish(name):
            name = SEARCH
            rungs.append("unknown_tool")
        else:
            return Read(None, tuple(rungs))
    if name == FINISH:
        if query and query != "{}":
            rungs.append("junk")
        return Read(Action(action.thought, FINISH, "", action.answerable), tuple(rungs))
    if not query:
        return Read(None, tuple(rungs))
    return Read(Action(action.thought, name, query, action.answerable), tuple(rungs))


def _alias(name: str, known: set[str]) -> str | None:
    plain = name.lower().replace(" ", "_")
    if plain in known:
        return plain
    if FINISH in known and _is_finish(name):
        return FINISH
    return SEARCH if any(word in plain for word in _SEARCHES) else None


def _is_finish(name: str) -> bool:
    return any(name.lower().startswith(word) for word in _FINISHES) or FINISH in name.lower()


def _query(arguments: str, rungs: list[str]) -> str:
    """Return the query of arguments that should be a JSON object, or what there is instead."""
    if not arguments:
        return ""
    value = _json(arguments, rungs) if arguments.lstrip().startswith("{") else arguments
    return _text_of(value)


def _json(text: str, rungs: list[str]) -> Any:
    """Return a JSON value, repaired if it has to be; None if there is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        from json_repair import repair_json

        rungs.append("json")
        try:
            return repair_json(text, return_objects=True)
        except (ValueError, RecursionError):
            return None


def _text_of(arguments: Any) -> str:
    """Return the query among arguments: the only text, or the whole object as JSON."""
    if isinstance(arguments, Mapping):
        kept = {key: item for key, item in arguments.items() if key != "trajectory_id"}
        texts = [item for item in kept.values() if isinstance(item, str)]
        if len(kept) == 1 and texts:
            return texts[0].strip()
        named = kept.get(_QUERY) or kept.get("query")
        if isinstance(named, str):
            return named.strip()
        return json.dumps(kept, ensure_ascii=False) if kept else ""
    return arguments.strip() if isinstance(arguments, str) else ""


def one_line(text: str) -> str:
    """Return a text without line breaks, so that it cannot begin a line of its own."""
    return " ".join(text.split())
