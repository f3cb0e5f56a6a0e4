"""How a language model is asked for one of a few grades."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ragkit.errors import RagkitError, ReplyError
from ragkit.models.base import LanguageModel
from ragkit.prompts import quoted as quoted  # graders find it here
from ragkit.prompts import render

Mode = Literal["reply", "choose"]
_REASON_CHARACTERS = 240


@dataclass(frozen=True, slots=True)
class Grade:
    """A grade that a model gave.

    Attributes:
        label: the grade.
        probabilities: of each grade, where the model chose among them; None for a written reply.
        reason: why, in the model's words, if it was asked to write them.
    """

    label: str
    probabilities: dict[str, float] | None = None
    reason: str = ""

    def expected(self, values: dict[str, float]) -> float:
        """Return the value of the grade; the mean weighted by probability, where they are known.

        Source: Liu et al. 2023 (G-Eval), arXiv 2303.16634.
        """
        if self.probabilities is None:
            return values[self.label]
        return sum(probability * values[label] for label, probability in self.probabilities.items())


async def ask(
    model: LanguageModel, prompt: str, grades: Sequence[str], mode: Mode, max_new_tokens: int, **texts: Any
) -> Grade:
    """Ask a model for one of several grades.

    `reply` has it write a reason and a grade under a JSON schema; `choose` takes the probabilities of the grades
    themselves as continuations of the prompt.

    Args:
        model: who grades.
        prompt: name of the prompt.
        grades: what it may answer.
        mode: how it answers.
        max_new_tokens: the most tokens of a written reply.
        texts: what the prompt uses besides `grades` and `mode`.

    Raises:
        RagkitError: the reply broke its schema or was cut, or the model tells no probabilities.
    """
    filled = render(prompt, grades=list(grades), mode=mode, **texts)
    if mode == "choose":
        # A text goes on with a blank before the next word; the turn of a chat begins with the word.
        spelt = {f" {grade}" if isinstance(filled, str) else grade: grade for grade in grades}
        choice = await model.choose(filled, list(spelt))
        if choice.logprobs is None:
            raise RagkitError("the model tells no probabilities: use mode: reply")
        return Grade(spelt[choice.label], {grade: choice.probability(text) for text, grade in spelt.items()})
    schema = {
        "type": "object",
        "properties": {
            "reason": {"type": "string", "maxLength": _REASON_CHARACTERS},
            "grade": {"enum": list(grades)},
        },
        "required": ["reason", "grade"],
        "additionalProperties": False,
    }
    generation = await model.generate(filled, max_new_tokens=max_new_tokens, schema=schema)
    return _read(generation.text, grades)


def _read(text: str, grades: Sequence[str]) -> Grade:
    """Return the grade of a written reply, whatever model wrote it: not every one sees to the schema."""
    try:
        reply = json.loads(text)
    except ValueError:
        reply = None
    if not isinstance(reply, dict) or reply.get("grade") not in grades or not isinstance(reply.get("reason"), str):
        raise ReplyError(f"the reply is not a reason and one of the grades {', '.join(grades)}: {text[:200]!r}", text)
    return Grade(reply["grade"], reason=reply["reason"])


def quoted_list(texts: Iterable[str]) -> list[str]:
    """Return texts of unknown origin as JSON strings."""
    return [quoted(text) for text in texts]
