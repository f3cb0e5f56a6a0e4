"""A question on its way from a section of the corpus to a training row."""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

from ragkit.engine.state import Passage
from ragkit.evaluation.questions import Question
from ragkit.evaluation.split import part_of
from ragkit.tuning.builders.corpus_qa.sections import Section


@dataclass(frozen=True, slots=True)
class Pair:
    """A question about a section, and its answer once it has one.

    Attributes:
        id: belongs to the same part of the split as the section's document.
        facets: of the section.
        answer: without citation markers.
        cited: numbers of the passages that the answer cites, from 1.
        passages: what the answer was read from.
        measures: by name; 0 to 1, but `overlap` (nats) and lengths (tokens).
        dropped: why it is not trained on; empty if it is.
    """

    id: str
    section: Section
    facets: dict[str, str]
    question: str
    answer: str = ""
    cited: tuple[int, ...] = ()
    passages: tuple[Passage, ...] = ()
    measures: dict[str, float] = field(default_factory=dict)
    dropped: str = ""

    def drop(self, reason: str) -> "Pair":
        """Return the pair as one that is not trained on; the first reason stays."""
        return self if self.dropped else replace(self, dropped=reason)

    def measured(self, **measures: float) -> "Pair":
        """Return the pair with further measures."""
        return replace(self, measures=self.measures | measures)

    def to_question(self) -> Question:
        """Return it as a question of an evaluation, with its answer as the gold one."""
        return Question(
            id=self.id,
            question=self.question,
            answers=(self.answer,),
            supporting_ids=(self.section.evidence,),
            type="corpus_qa",
            extra={"section": self.section.id, "facets": self.facets, "measures": self.measures},
        )

    def to_row(self) -> dict[str, Any]:
        """Return it as a line of the builder's record, the dropped ones too."""
        return {
            "id": self.id,
            "section": self.section.id,
            "facets": self.facets,
            "question": self.question,
            "answer": self.answer or None,
            "cited": [self.passages[number - 1].id for number in self.cited],
            "passages": [passage.id for passage in self.passages],
            "measures": {name: round(value, 6) for name, value in self.measures.items()},
            "dropped": self.dropped or None,
        }


def pair_id(section: Section, number: int) -> str:
    """Return an id for a question about a section that is in the part of the section's document.

    Questions are split by their ids everywhere; one about a document that was trained on must not be held out, nor the
    other way round.
    """
    name = f"{hashlib.sha256(section.id.encode()).hexdigest()[:12]}.q{number}"
    salt = 0
    while part_of(f"{name}.{salt}") != part_of(section.document):
        salt += 1
    return f"{name}.{salt}"
