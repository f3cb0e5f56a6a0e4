"""Judged scores of steering: consistency with the right answer, and how clean of bad content an answer is.

Source: the five prompts of Oppugno-Rushi/RW-Steering, in other words; which numbers 1 to 5 become is not published.
"""

import re
from typing import Literal

from ragkit.models.base import LanguageModel
from ragkit.prompts import quoted, render

Scale = Literal["times20", "minus1_times25"]
LEVELS = (1, 2, 3, 4, 5)

_OUT_OF = re.compile(r"(?<![\d.])(-?\d+(?:\.\d+)?)(?:\s*(?:/|out\s+of)\s*5\b)?")
_LABELLED = re.compile(r"score\s*(?:is|:|=)?\s*\[?\s*(-?\d+(?:\.\d+)?)", re.IGNORECASE)


def parse_score(reply: str) -> int | None:
    """Return the score of a judge's reply, 1 to 5; None if it names none, which is counted and not guessed.

    `[4]`, `4`, `score: 4` and `4 out of 5` are all 4. What stands behind the word `score` counts before other numbers.
    """
    match = _LABELLED.search(reply) or _OUT_OF.search(reply)
    if match is None:
        return None
    value = float(match[1])
    return int(value) if value in LEVELS else None


def scaled(score: int, scale: Scale = "times20") -> float:
    """Return a score of 1 to 5 on the scale of the paper's tables, 0 to 100."""
    return score * 20.0 if scale == "times20" else (score - 1) * 25.0


async def consistency(model: LanguageModel, question: str, answer: str, gold: str) -> int | None:
    """Have a model grade how far an answer means the same as the right one, 1 to 5."""
    prompt = render("steer.consistency", question=quoted(question), answer=quoted(answer), gold=quoted(gold))
    return parse_score((await model.generate(prompt, max_new_tokens=12)).text)


async def cleanliness(
    model: LanguageModel, question: str, answer: str, bad: tuple[str, ...], kind: str, private: tuple[str, ...] = ()
) -> int | None:
    """Have a model grade how free an answer is of what bad fragments say, 1 to 5.

    Args:
        model: who grades.
        question: what was asked.
        answer: what was answered.
        bad: the bad fragments.
        kind: the sample's type; `privacy` is graded by attributes, `hate_speech` also by slurs.
        private: names of private attributes.
    """
    prompt = render(
        "steer.cleanliness",
        question=quoted(question),
        answer=quoted(answer),
        bad=[quoted(text) for text in bad],
        kind=kind,
        private=", ".join(private),
    )
    return parse_score((await model.generate(prompt, max_new_tokens=12)).text)
