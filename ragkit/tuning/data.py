"""Where training data come from: builders make rows out of question sets, selectors choose among them."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from pydantic import PositiveInt

from ragkit.engine.calls import OnProgress
from ragkit.engine.component import Component
from ragkit.errors import InputError, did_you_mean
from ragkit.evaluation.questions import Question
from ragkit.evaluation.split import Part
from ragkit.pipeline import Pipeline
from ragkit.tuning.rows import Row

Copies = PositiveInt | dict[str, PositiveInt]
"""How often the questions of each set are trained on: one number, or one by set (once where it is not named)."""


@dataclass(frozen=True, slots=True)
class TuningSet:
    """A question set with the recipe's pipeline over its corpus.

    Attributes:
        name: the set's.
        pipeline: with an index of the set's documents; prepared, so that the index can be searched.
        questions: those of the part that was asked for.
    """

    name: str
    pipeline: Pipeline
    questions: Sequence[Question]


OpenSet = Callable[[Part], AbstractContextManager[TuningSet]]
"""Opens a set with its questions of a part; leaving the context closes its index and models."""


@dataclass(frozen=True, slots=True)
class BuildContext:
    """What a builder or selector has at hand.

    Attributes:
        openers: the recipe's sets.
        model: name of the model that is tuned, in the pipeline; there it stands as the training begins with it, so what
            is sampled from it is its own.
        seed: of everything random.
        folder: for files that are worth keeping between starts.
        on_progress: told of everything that takes long.
    """

    openers: Mapping[str, OpenSet]
    model: str
    seed: int
    folder: Path
    on_progress: OnProgress

    def sets(self, part: Part) -> Iterator[TuningSet]:
        """Yield the sets with their questions of a part, one after the other; each is closed when the next begins."""
        for opener in self.openers.values():
            with opener(part) as opened:
                yield opened

    def copies(self, wanted: Copies, name: str, part: Part) -> int:
        """Return how often the questions of a set are taken; those that are only watched are taken once.

        Raises:
            InputError: a set is named that the recipe does not have.
        """
        if isinstance(wanted, int):
            return wanted if part == "train" else 1
        for other in wanted:
            if other not in self.openers:
                raise InputError(f"data.copies: there is no set '{other}'{did_you_mean(other, self.openers)}")
        return wanted.get(name, 1) if part == "train" else 1


@dataclass(frozen=True, slots=True)
class Selected:
    """What a selector kept: the rows, and how many were kept or changed and why."""

    rows: Sequence[Row]
    reasons: dict[str, int] = field(default_factory=dict)


class DataBuilder(Component):
    """Makes training rows out of the sets of a recipe. Registered in `ragkit.engine.registry.builders`.

    Attributes:
        makes: the kind of rows.
    """

    makes: ClassVar[type[Row]] = Row

    @abstractmethod
    def build(self, part: Part, context: BuildContext) -> Sequence[Row]:
        """Return the rows of a part of the questions: `train`, or `validation` for the rows that are only watched.

        Prompts are rendered with the settings of the pipeline's own stages, so that training and answering never
        differ. The same sets and seed give the same rows.

        Raises:
            InputError: the pipeline or the questions do not have what the rows are made of.
        """


class Selector(Component):
    """Chooses or changes training rows. Registered in `ragkit.engine.registry.selectors`."""

    @abstractmethod
    def select(self, rows: Sequence[Row], context: BuildContext) -> Selected:
        """Return the rows to train on, with the reasons.

        Raises:
            InputError: the rows are of a kind that cannot be selected from.
        """
