"""Prompts of a reader, with what rewards judge its replies by."""

import random
from collections.abc import Sequence
from typing import Any, ClassVar

from ragkit.engine.registry import builders
from ragkit.evaluation.split import Part
from ragkit.tuning.builders.reader import ABSENT, DrawnRow, ReaderBuilder, reader_of, readings
from ragkit.tuning.data import BuildContext
from ragkit.tuning.rows import PromptRow, Row


@builders.register("reader_prompts")
class ReaderPromptsBuilder(ReaderBuilder):
    """The prompts of the `reader` rows without their completions, for objectives that learn from rewards.

    Columns: `question`, `answers` (gold), `passages` (the texts in the prompt, in the order of their numbers),
    `supporting` (the numbers of the gold passages), `answerable` (whether there are any).
    """

    makes: ClassVar[type[Row]] = PromptRow

    def build(self, part: Part, context: BuildContext) -> Sequence[Row]:
        rows: list[Row] = []
        for opened in context.sets(part):
            stage = reader_of(opened.pipeline, context.model)
            copies = context.copies(self.copies, opened.name, part)
            for reading in readings(opened, context):
                drawn = self.draw(opened.name, reading, stage, context.seed, copies)
                rows += [
                    PromptRow(prompt=one.row.prompt, columns=_columns(one), origin=one.row.origin) for one in drawn
                ]
        random.Random(context.seed).shuffle(rows)  # noqa: S311 - not for secrets
        return rows


def _columns(drawn: DrawnRow) -> dict[str, Any]:
    question = drawn.reading.question
    gold = {passage.id for passage in drawn.reading.gold}
    return {
        "question": question.question,
        "answers": list(question.answers),
        "passages": [passage.page_content for passage in drawn.passages],
        "supporting": [number for number, passage in enumerate(drawn.passages, start=1) if passage.id in gold],
        "answerable": drawn.row.origin["kind"] != ABSENT,
    }
