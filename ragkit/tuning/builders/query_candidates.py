"""Queries that a question suggests: names in it, the titles that it names, and the steps of its decomposition.

Everything here can be known from the question, or from passages that the rewriter is shown. What only an earlier step
tells (the director's name, where the question says `the director of`) would teach a rewriter to make things up.
"""

import re
from collections.abc import Sequence
from typing import Any

from ragkit.engine.state import Documents
from ragkit.evaluation.questions import Question
from ragkit.models.base import Premise
from ragkit.models.evidence_features import names_title
from ragkit.stages.rewritten import distinct

_NAME = re.compile(
    r"\"[^\"]+\"|(?:[A-Z][\w'.&-]*|\d{4})(?:(?:\s+|\s*:\s*)(?:(?:of|the|and|de|la|in|for|on|to|a|an|von|du|del)\s+){0,2}"
    r"(?:[A-Z][\w'.&-]*|\d+\b)|\s*\([^)]*\))*"
)
_BRACKETS = re.compile(r"\s*\([^()]*\)$")
_REFERENCE = re.compile(r"#(\d+)")
_ASKS = (
    "who whom whose what which when where why how is are was were do does did has have had can could in on at of by "
    "from to for and or the a an if with"
)
_ASKING = frozenset(_ASKS.split())
_MOST_NAMES, _SHORTEST = 8, 3


def candidates_of(question: Question, titles: Sequence[str], shown: Documents = ()) -> tuple[str, ...]:
    """Return candidates for queries, each once.

    Args:
        question: with `decomposition` and `evidence_triples` among its further fields, where its set has them.
        titles: of its gold passages.
        shown: passages that the rewriter sees; a title that one of them names can be asked for.
    """
    text = question.question
    names = _names(text)
    named = [kept for title in titles if (kept := _named(title, text))]
    texts = [passage.page_content for passage in shown]
    named += [title for title in titles if any(names_title(text, Premise(title, "")) for text in texts)]
    facts = [
        f"{subject} {relation}"
        for subject, relation, _ in _triples(question)
        if _words(subject) and _words(subject) <= _words(text)
    ]
    steps = [step for step in _steps(question) if _known(step, text, question)]
    rest = text
    for name in names:
        rest = rest.replace(name, " ")
    about = " ".join(word for word in re.findall(r"\w+", rest) if word.lower() not in _ASKING)
    with_rest = [f"{name} {about}" for name in names[:_MOST_NAMES] if about]
    return distinct([*named, *names[:_MOST_NAMES], *facts, *steps, *with_rest, about or text], 40)


def questions_of(question: Question) -> tuple[str, ...]:
    """Return the clarified questions: the question, and before it the steps that have to be answered first."""
    steps = [step for step in _steps(question) if step.endswith("?") and _known(step, question.question, question)]
    return distinct([*steps[:2], question.question], 3)


def _names(text: str) -> list[str]:
    """Return the names in a question: quotations and runs of capitalised words, without the word that asks."""
    found = []
    for match in _NAME.finditer(text):
        words = match.group().strip('"').split()
        while words and words[0].lower() in _ASKING:
            words.pop(0)
        name = " ".join(words).strip(" ,.?")
        if len(name) >= _SHORTEST:
            found.append(name)
    return list(dict.fromkeys(found))


def _named(title: str, text: str) -> str:
    """Return a title, or what stands before its first comma, if the question holds all of its words."""
    for name in (title, _BRACKETS.sub("", title), title.partition(",")[0]):
        if (words := _words(name)) and words <= _words(text):
            return name
    return ""


def _triples(question: Question) -> list[tuple[str, str, str]]:
    triples = question.extra.get("evidence_triples")
    rows = triples if isinstance(triples, list) else []
    return [(str(row[0]), str(row[1]), str(row[2])) for row in rows if isinstance(row, list) and len(row) == 3]


def _steps(question: Question) -> list[str]:
    """Return the steps of the decomposition as texts, `A >> place of birth` as `A place of birth`.

    A reference `#1` to the answer of a step stands for what that step asks about.
    """
    steps: list[str] = []
    for step in _decomposition(question):
        text = str(step.get("question", "")).replace(" >> ", " ")
        steps.append(_REFERENCE.sub(lambda match: _what(steps, int(match[1])), text).strip())
    return [step for step in steps if step]


def _decomposition(question: Question) -> list[dict[str, Any]]:
    steps = question.extra.get("decomposition")
    return [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []


def _what(steps: Sequence[str], number: int) -> str:
    """Return what an earlier step asks about, without its question word."""
    if not 1 <= number <= len(steps):
        return ""
    words = steps[number - 1].rstrip(" ?").split()
    while words and words[0].lower() in _ASKING:
        words.pop(0)
    return " ".join(words)


def _known(step: str, text: str, question: Question) -> bool:
    """Say whether a step holds no answer of another step that the question itself does not hold."""
    for other in _decomposition(question):
        answer = _BRACKETS.sub("", str(other.get("answer", "")))
        for name in [answer, *_names(answer)]:
            if len(name) >= _SHORTEST and name.lower() in step.lower() and name.lower() not in text.lower():
                return False
    return True


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"\w+", text.lower()) if word not in _ASKING}
