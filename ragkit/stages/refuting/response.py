"""Responses to claims: their sentences, what each cites, and which of them state facts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ragkit.stages.answer import MARKER

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_LISTED = re.compile(r"^\s*(?:\d+[.)]|[-*•])\s+", re.MULTILINE)
_COURTESY = re.compile(
    r"\b(?:you|your|yours|i|i'm|we|us|our|please|thanks?|sorry|understand|hope|glad|feel free)\b", re.IGNORECASE
)
_VERDICT = re.compile(
    r"\b(?:claims?|myths?|rumou?rs?|misinformation|false|untrue|incorrect|inaccurate|misleading|wrong|"
    r"not (?:true|correct|right|accurate))\b",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r"\b(?:no|not|never|none|neither|nor|cannot|without|false|untrue|incorrect|inaccurate|wrong|myth|"
    r"rumou?rs?|misleading|mistaken|misinformation|contrary|unproven|unfounded|unsupported|debunked|disproved)\b|n['’]t\b",
    re.IGNORECASE,
)
_COURTESY_WORDS, _VERDICT_WORDS, _FACT_WORDS = 12, 16, 5
_GRAM = 4
_RESTATED = 0.8
_FUNCTION_WORDS = (
    "a an the and or but if of in on at to for from by with as is are was were be been being it its this that these "
    "those do does did has have had can could will would may might must shall should there their they he she you your "
    "we our i my not no so than then such just very too also any all"
)
_LITTLE = frozenset(_FUNCTION_WORDS.split())


@dataclass(frozen=True, slots=True)
class ResponseSentence:
    """A sentence of a response.

    Attributes:
        text: without citation markers.
        marked: as it is written.
        cited: the numbers that it cites, each once; whatever it says, so there may be no such passage.
    """

    text: str
    marked: str
    cited: tuple[int, ...]

    @property
    def is_factual(self) -> bool:
        """Whether it states something that evidence has to support.

        What cites does. Courtesies, bare verdicts on the claim, questions and fragments do not: they are short.
        """
        if self.cited:
            return True
        number = len(words(self.text))
        if number < _FACT_WORDS or self.text.endswith("?"):
            return False
        if number <= _COURTESY_WORDS and _COURTESY.search(self.text):
            return False
        return not (number <= _VERDICT_WORDS and _VERDICT.search(self.text))


def read_response(text: str) -> tuple[ResponseSentence, ...]:
    """Return the sentences of a response; a marker belongs to the sentence that it stands in or right behind."""
    from sentencex import segment

    pieces: list[str] = []
    for segmented in segment("en", " ".join(_LISTED.sub("", text).split())):
        piece = segmented.strip()
        while pieces and (match := MARKER.match(piece)):  # of the sentence before
            pieces[-1] += f" {match.group().strip()}"
            piece = piece[match.end() :].lstrip()
        if words(piece):
            pieces.append(piece)
        elif piece and pieces:
            pieces[-1] += piece
    return tuple(_sentence(piece) for piece in pieces)


def _sentence(piece: str) -> ResponseSentence:
    numbers = [int(number) for match in MARKER.finditer(piece) for number in match[1].split(",")]
    return ResponseSentence(MARKER.sub("", piece).strip(), piece, tuple(dict.fromkeys(numbers)))


def plain(sentences: Sequence[ResponseSentence]) -> str:
    """Return the text of sentences without their citation markers."""
    return " ".join(sentence.text for sentence in sentences if sentence.text)


def invalid_numbers(sentences: Sequence[ResponseSentence], passages: int) -> tuple[int, ...]:
    """Return the cited numbers that no passage has."""
    cited = dict.fromkeys(number for sentence in sentences for number in sentence.cited)
    return tuple(number for number in cited if not 1 <= number <= passages)


def restates(sentences: Sequence[ResponseSentence], claim: str) -> bool:
    """Say whether a sentence says the claim over again without denying it, by its words alone.

    A response that tells the myth as if it were so may be remembered for that.
    """
    wanted, denied = _content(claim), _denials(claim)
    return any(
        bool(wanted)
        and len(wanted & _content(sentence.text)) >= _RESTATED * len(wanted)
        and _denials(sentence.text) <= denied
        and not sentence.text.endswith("?")
        for sentence in sentences
    )


def copied_share(text: str, sources: Sequence[str]) -> float:
    """Return the share of a text's 4-grams of words that stand in one of the sources; 0 for a text without any."""
    own = _grams(text)
    theirs = {gram for source in sources for gram in _grams(source)}
    return sum(gram in theirs for gram in own) / len(own) if own else 0.0


def _grams(text: str) -> list[tuple[str, ...]]:
    found = words(text)
    return list(zip(*(found[start:] for start in range(_GRAM)), strict=False))


def words(text: str) -> list[str]:
    """Return the words of a text, in lower case."""
    return _WORD.findall(text.casefold())


def _denials(text: str) -> set[str]:
    return {found.casefold() for found in _DENIAL.findall(text)}


def _content(text: str) -> set[str]:
    return {word for word in words(text) if word not in _LITTLE}
