"""Few rows instead of many: hard tasks, good answers, and none that is like another."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ragkit.engine.registry import selectors
from ragkit.errors import InputError
from ragkit.evaluation.judges.grading import Mode, ask, quoted
from ragkit.models.base import Encoder, LanguageModel
from ragkit.models.scripted import prompt_text
from ragkit.prompts import prompt_setting
from ragkit.tuning.calls import run_cached
from ragkit.tuning.data import BuildContext, Selected, Selector
from ragkit.tuning.rows import Row, SftRow

GRADES = {str(grade): float(grade) for grade in range(1, 7)}
_REPLY_TOKENS = 200
_CHUNK = 256
"""Rows that are compared with the chosen ones at once."""


@selectors.register("deita")
class Deita(Selector):
    """Choose rows by complexity times quality, best first, leaving out what is too like a row already chosen.

    Complexity of the prompt and quality of the completion are grades from 1 to 6, each the mean weighted by the
    probabilities that the model gives to the digits. Likeness is the cosine of the encoder's vectors of the last
    characters of the prompt, where the question stands, and of the completion. The chosen rows keep their order.

    Source: Liu et al. 2024 (DEITA), arXiv 2312.15685. Its graders were trained for the purpose and it compares whole
    conversations; here any model grades, and passages that many questions share do not make them alike.
    """

    model: LanguageModel = Field(description="who grades")
    encoder: Encoder = Field(description="whose vectors tell what is alike")
    budget: int = Field(ge=1, description="the most rows to choose")
    tau: float = Field(0.9, gt=0, le=1, description="highest cosine with a row that was chosen before")
    mode: Mode = Field("choose", description="'choose': expected grade by log-probabilities; 'reply': a grade as JSON")
    complexity: Annotated[str, prompt_setting("task", "grades", "mode")] = Field(
        "tune.complexity", description="how it is asked for the complexity of a prompt"
    )
    quality: Annotated[str, prompt_setting("task", "answer", "grades", "mode")] = Field(
        "tune.quality", description="how it is asked for the quality of a completion"
    )
    characters: int = Field(400, ge=1, description="length of the end of a prompt that is compared")

    def select(self, rows: Sequence[Row], context: BuildContext) -> Selected:
        graded = [row for row in rows if isinstance(row, SftRow)]
        if len(graded) < len(rows):
            raise InputError("deita: selects among rows with a completion (sft), not among pairs or prompts")
        outcomes = run_cached([partial(self._look, row) for row in graded], "grades", context)
        looked = [(n, *outcome.value) for n, outcome in enumerate(outcomes) if outcome.error is None]
        looked.sort(key=lambda item: (-item[1], item[0]))
        vectors = np.array([vector for _, _, vector in looked], np.float32)
        best, alike = diverse(vectors, self.tau, self.budget)
        scores = {looked[rank][0]: looked[rank][1] for rank in best}
        reasons = {
            "chosen": len(best),
            "too like a better row": alike,
            "beyond the budget": len(looked) - len(best) - alike,
            "could not be graded": len(outcomes) - len(looked),
        }
        chosen = [replace(graded[n], origin=graded[n].origin | {"deita": scores[n]}) for n in sorted(scores)]
        return Selected(chosen, {reason: count for reason, count in reasons.items() if count})

    async def _look(self, row: SftRow) -> tuple[float, NDArray[np.float32]]:
        """Return the score of a row and its vector."""
        task = prompt_text(row.prompt)
        grade = partial(ask, self.model, grades=tuple(GRADES), mode=self.mode, max_new_tokens=_REPLY_TOKENS)
        complexity, quality, vector = await asyncio.gather(
            grade(prompt=self.complexity, task=quoted(task)),
            grade(prompt=self.quality, task=quoted(task), answer=quoted(row.completion)),
            self.encoder.embed(f"{task[-self.characters :]} {row.completion}", "passage"),
        )
        return complexity.expected(GRADES) * quality.expected(GRADES), vector


def diverse(vectors: NDArray[np.float32], tau: float, budget: int) -> tuple[list[int], int]:
    """Return the rows to keep and how many were too like one of them, taking rows in order until the budget is full.

    Args:
        vectors: shape (rows, dimension), best row first; a zero vector is like nothing.
        tau: a row is kept if its cosine with every kept row is at most this.
        budget: the most rows to keep.
    """
    if not len(vectors):
        return [], 0
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    kept: list[int] = []
    alike = 0
    for start in range(0, len(units), _CHUNK):
        chunk = units[start : start + _CHUNK]
        free = ~(chunk @ units[kept].T > tau).any(axis=1)
        within = chunk @ chunk.T > tau
        for row in range(len(chunk)):
            if len(kept) == budget:
                return kept, alike
            if free[row]:
                kept.append(start + row)
                free[row + 1 :] &= ~within[row, row + 1 :]
            else:
                alike += 1
    return kept, alike
