"""One question's gold evidence on its way through a pipeline, as its trace tells it."""

import re
from collections.abc import Callable, Iterable, Sequence

from ragkit.evaluation.metrics.ranking import matched
from ragkit.evaluation.prediction import PredictionRow, RankedPassage
from ragkit.evaluation.questions import Question
from ragkit.evaluation.traces import Digest, StageEvent

Held = frozenset[str]
"""Gold ids that are there."""

_NUMBER = re.compile(r"\[\d+\]")
_NUMBERED = re.compile(r"(?:^|/)(loop|each)\[(\d+)\]")

Turns = tuple[tuple[str, int], ...]
"""In which round of which loop, and for which item of which `each`, a stage ran: from the outermost inwards."""


class Traveller:
    """A question on its way.

    Attributes:
        indexed: gold ids of which the index has passages; all of them where that is not known.
        after: gold ids after each step that writes `documents` and ran, by the step's path without numbers: of a loop
            its last round, of `each` all items together.
        rounds: of these steps, the numbers of the last rounds of the loops around it.
        failed: paths of steps that failed.
        ran: ids of all steps that ran, whatever they write; None where the run kept no trace.
        packed: the passages that a step wrote to `vars.context`, None if there was no such step.
        prompt: gold ids among the passages of the reader's prompt.
        right: the value of the metric that calls answers right.
    """

    def __init__(
        self, question: Question, prediction: PredictionRow, trace: Digest | None, right: float | None
    ) -> None:
        self.question = question
        self.prediction = prediction
        self.gold = frozenset(question.supporting_ids)
        self.indexed: Held = self.gold
        self.after: dict[str, Held] = {}
        self.rounds: dict[str, tuple[int, ...]] = {}
        self.failed: set[str] = set()
        self.ran: set[str] | None = None
        self.packed: list[RankedPassage] | None = None
        self.prompt: Held = frozenset()
        self.right = right
        if trace is not None:
            self.ran = {event.path.rpartition("/")[2] for event in trace.stages}
            self._read(trace.stages)

    def _read(self, events: Iterable[StageEvent]) -> None:
        runs: dict[str, list[tuple[Turns, Held]]] = {}
        for event in events:
            path = _NUMBER.sub("", event.path)
            if event.failed:
                self.failed.add(path)
            if event.failed or event.documents is not None:
                turns = tuple((kind, int(number)) for kind, number in _NUMBERED.findall(event.path))
                runs.setdefault(path, []).append((turns, self.among(event.documents or ())))
            if event.context is not None:
                self.packed = event.context
        self.after = {path: _left(own) for path, own in runs.items()}
        self.rounds = {
            path: max(tuple(number for kind, number in turns if kind == "loop") for turns, _ in own)
            for path, own in runs.items()
        }

    def among(self, passages: Iterable[RankedPassage]) -> Held:
        """Return the gold ids that passages belong to."""
        return frozenset(gold for passage in passages for gold in matched(passage, self.gold))

    @property
    def context(self) -> list[RankedPassage]:
        """The passages of the prompt, with their places."""
        if self.packed is not None:
            return self.packed
        ids = set(self.prediction["context"])
        return [passage for passage in self.prediction["documents"] if passage["id"] in ids]

    @property
    def evidence(self) -> str:
        """How much of the gold evidence was in the prompt."""
        return "all" if self.prompt == self.gold else "some" if self.prompt else "none"

    @property
    def is_right(self) -> bool:
        """Whether the answer is right."""
        return self.right is not None and self.right >= 1


Source = Callable[[Traveller], Held]
"""What a question has at a place of the pipeline."""


def _left(runs: Sequence[tuple[Turns, Held]], depth: int = 0) -> Held:
    """Return what is left of the runs of one step: a loop keeps its last round, `each` what all its items have."""
    groups: dict[int, list[tuple[Turns, Held]]] = {}
    for turns, held in runs:
        if depth == len(turns):
            return frozenset().union(*(own for _, own in runs))
        groups.setdefault(turns[depth][1], []).append((turns, held))
    kept = [groups[max(groups)]] if runs[0][0][depth][0] == "loop" else groups.values()
    return frozenset().union(*(_left(group, depth + 1) for group in kept))
