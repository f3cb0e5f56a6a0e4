"""Where gold evidence was lost on its way from the corpus to the answer."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ragkit.engine.controls import Branch, Loop, Parallel
from ragkit.engine.nodes import Node, Step
from ragkit.evaluation.evidence import Evidence, document_of, holds_answer
from ragkit.evaluation.metrics.ranking import matched
from ragkit.evaluation.prediction import PredictionRow, abstained
from ragkit.evaluation.questions import Question

EXAMPLES = 20
"""Question ids kept for each reason of a loss."""

Kind = Literal["corpus", "index", "retrieve", "keep", "prompt", "cited", "answered"]


@dataclass(frozen=True, slots=True)
class Loss:
    """Gold evidence that was there before a stage and not after it, for one reason.

    Attributes:
        reason: why, in words: `not in the index`, `rank beyond 5`, `dropped`, `left out of the prompt` ...
        questions: questions that lost evidence this way.
        units: gold passages, pages or documents that were lost (for `answered`, the questions again).
        examples: ids of the first questions.
    """

    reason: str
    questions: int
    units: int
    examples: list[str]


@dataclass(frozen=True, slots=True)
class FunnelStage:
    """What was left of the gold evidence after one stage.

    Attributes:
        stage: `corpus`, `index`, a step's path without its round numbers (`loop/retrieve.dense`), `prompt`, `cited`
            or `answered`.
        kind: `corpus` (the document is among those of the index), `index` (it was cut into passages that hold the
            gold passage, page or document), `retrieve` (a step that writes `documents` without reading them), `keep`
            (one that reads and writes them: filter, reranker ...), `prompt`, `cited`, `answered`.
        questions: questions that are counted here, the same for all stages but `answered`.
        ran: those for which the stage ran; the others keep what they had before.
        all: questions with all of their gold evidence after the stage; of `answered`, right ones.
        some: questions with some of it, but not all.
        units: gold passages, pages or documents of all questions together that are there after the stage.
        gained: those of them that were not there before it (a later round of a loop, a second retriever).
        answers: questions with a gold answer, as whole words, in the gold passages (`index`) or in any passage
            (`prompt`); None for other stages.
        losses: why evidence was lost here, the most frequent reason first.
    """

    stage: str
    kind: Kind
    questions: int
    ran: int
    all: int
    some: int
    units: int
    gained: int
    answers: int | None
    losses: list[Loss]


@dataclass(frozen=True, slots=True)
class Rightness:
    """How many of some questions were answered right."""

    questions: int
    right: int


@dataclass(frozen=True, slots=True)
class Funnel:
    """The way of the gold evidence through a run; `funnel.json` holds exactly this.

    Attributes:
        questions: questions with gold evidence, the only ones that are looked at.
        units: their gold passages, pages and documents together.
        metric: the metric that calls an answer right (a value of 1); None where no answers are judged.
        stages: in the order of the pipeline. Every gold id counts once for each question that needs it.
        by_evidence: how many questions were answered right with `all`, `some` or `none` of their evidence in the
            prompt; empty where no answers are judged.
    """

    questions: int
    units: int
    metric: str | None
    stages: list[FunnelStage]
    by_evidence: dict[str, Rightness]

    def to_json(self) -> str:
        """Return the text of `funnel.json`."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"
