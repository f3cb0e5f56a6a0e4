"""Answers with their citation markers still in them: `Wheat is dry [2]. Maize is not [1][3].`

A marker is one or several numbers of passages in square brackets, and belongs to the sentence that it stands in or
right behind. Text outside the markers is never changed.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ragkit.evaluation.judges.citations import split_sentences
from ragkit.stages.answer import MARKER

_END = re.compile(r"[\s.!?…。]*$")


@dataclass(frozen=True, slots=True)
class Mark:
    """A citation marker.

    Attributes:
        at: where it stands: the length of the unmarked text before it.
        text: as it is written, with the blanks before it.
        numbers: of the cited passages, from 1; whatever the answer says, so there may be no such passage.
    """

    at: int
    text: str
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of an unmarked text, from `start` to `end`, and its markers."""

    text: str
    start: int
    end: int
    marks: tuple[Mark, ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        """What the sentence cites, each passage once, in order of mention."""
        return tuple(dict.fromkeys(number for mark in self.marks for number in mark.numbers))


@dataclass(frozen=True, slots=True)
class MarkedText:
    """A text without its markers, and the markers; `str` puts them back where they were."""

    plain: str
    marks: tuple[Mark, ...]

    @classmethod
    def parse(cls, text: str) -> "MarkedText":
        """Return a text taken apart."""
        plain, marks, last = "", [], 0
        for match in MARKER.finditer(text):
            plain += text[last : match.start()]
            last = match.end()
            marks.append(Mark(len(plain), match.group(), tuple(int(number) for number in match[1].split(","))))
        return cls(plain + text[last:], tuple(marks))

    def __str__(self) -> str:
        pieces, last = [], 0
        for mark in self.marks:
            pieces += [self.plain[last : mark.at], mark.text]
            last = mark.at
        return "".join([*pieces, self.plain[last:]])

    def sentences(self, language: str = "en") -> list[Sentence]:
        """Return the sentences; none if the text is blank."""
        spans, end = [], 0
        for sentence in split_sentences(self.plain, language):
            start = self.plain.index(sentence, end)
            end = start + len(sentence)
            spans.append((sentence, start, end))
        owners = [
            max((n for n, (_, start, _) in enumerate(spans) if start < mark.at), default=0) for mark in self.marks
        ]
        return [
            Sentence(text, start, end, tuple(m for m, own in zip(self.marks, owners, strict=True) if own == number))
            for number, (text, start, end) in enumerate(spans)
        ]

    def cite(self, sentence: Sentence, numbers: Sequence[int]) -> "MarkedText":
        """Return the text with other markers for one of its sentences: where its last one stood, or before its end."""
        others = [mark for mark in self.marks if mark not in sentence.marks]
        at = sentence.marks[-1].at if sentence.marks else sentence.start + _before_end(sentence.text)
        written = f" [{', '.join(map(str, numbers))}]"
        new = [Mark(at, written, tuple(numbers))] if numbers else []
        return replace(self, marks=tuple(sorted([*others, *new], key=lambda mark: mark.at)))


def renumber(text: str, number_of: Callable[[int], int | None]) -> str | None:
    """Return a text whose markers name the same passages in another order; None if one of them is not there.

    Args:
        text: with markers.
        number_of: the new number of a cited number, None if the passage is not there.
    """
    marked = MarkedText.parse(text)
    marks = []
    for mark in marked.marks:
        numbers = [number_of(number) for number in mark.numbers]
        if None in numbers:
            return None
        new = tuple(number for number in numbers if number is not None)
        written = iter(new)
        marks.append(replace(mark, text=re.sub(r"\d+", lambda _: str(next(written)), mark.text), numbers=new))  # noqa: B023
    return str(replace(marked, marks=tuple(marks)))


def _before_end(sentence: str) -> int:
    """Return where the closing punctuation of a sentence begins."""
    match = _END.search(sentence)
    return match.start() if match and match.start() else len(sentence)
