"""Rows for classifiers of texts, from sets that label each text."""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from ragkit.engine.registry import builders
from ragkit.errors import InputError
from ragkit.evaluation.split import Part
from ragkit.tuning.data import BuildContext, DataBuilder
from ragkit.tuning.rows import LabelRow, Row


@builders.register("labelled_texts")
class LabelledTexts(DataBuilder):
    """Each question of a set is a text with a label, which a field of its row holds (`{id, question, label}`)."""

    makes: ClassVar[type[Row]] = LabelRow

    field: str = Field("label", min_length=1, description="field of a question's row that holds its label")

    def build(self, part: Part, context: BuildContext) -> Sequence[Row]:
        rows = []
        for opened in context.sets(part):
            for question in opened.questions:
                label = question.extra.get(self.field)
                if not isinstance(label, str) or not label:
                    raise InputError(
                        f"set '{opened.name}', question '{question.id}': its row has no text in '{self.field}'"
                    )
                origin = {"set": opened.name, "question": question.id}
                rows.append(LabelRow(text=question.question, label=label, origin=origin))
        return rows
