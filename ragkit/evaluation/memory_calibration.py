"""Which cosine a title needs to count as known, for the encoder in use: the threshold `tau` of `memory.trigger`.

A memory is filled by some questions, with no reuse, and others that are like them are asked at each threshold, each
time with the memory as it was when it had been filled. A low threshold saves searches and serves passages that were
found for other questions; the chosen one saves most of those that lose no more than is allowed.

Source: the sweep follows Shi et al. 2024 (ERM4), arXiv 2407.10670, table 2; the rule of choice is ragkit's.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ragkit.engine.calls import OnProgress
from ragkit.engine.controls import replace_stages, steps_of
from ragkit.engine.run import Asked, Prediction
from ragkit.errors import InputError
from ragkit.evaluation.datasets import load_questions
from ragkit.evaluation.metrics import Metric, parse_metric
from ragkit.evaluation.questions import Question
from ragkit.evaluation.records import question_line
from ragkit.evaluation.statistics import bootstrap_interval, mean
from ragkit.memory import Reservoir
from ragkit.pipeline import Pipeline
from ragkit.stages import MemoryTrigger

NO_REUSE = 2.0
"""A threshold that no cosine reaches."""

TAUS = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)


@dataclass(frozen=True, slots=True)
class Point:
    """What a threshold brings, as means over the questions.

    Attributes:
        tau: the threshold.
        value: of the metric.
        loss: how much of the metric is lost against no reuse.
        loss_interval: the loss's 95 % bootstrap interval, over the questions.
        searches: outside searches of a question.
        items: passages from outside per question.
        seconds: computing time of a question's calls, those to the outside included.
        failures: questions that failed.
    """

    tau: float
    value: float
    loss: float
    loss_interval: tuple[float, float]
    searches: float
    items: float
    seconds: float
    failures: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """A sweep and what was chosen.

    Attributes:
        encoder: what the memory's encoder is.
        theta: how many titles a query needs.
        metric: what is to be kept.
        allowed: the loss that is allowed.
        filled: SHA-256 and number of the questions that filled the memory.
        asked: the same of those that were asked at each threshold.
        remembered: passages in the filled memory.
        without: what no reuse brings.
        curve: what each threshold brings.
        chosen: the threshold with the fewest passages from outside among those that lose no more than is allowed, the
            highest of equal ones; None if there is none.
    """

    encoder: dict[str, Any]
    theta: list[int]
    metric: str
    allowed: float
    filled: dict[str, Any]
    asked: dict[str, Any]
    remembered: int
    without: Point
    curve: list[Point]
    chosen: float | None

    def to_json(self) -> str:
        """Return the text of the calibration's file."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


def calibrate_memory(
    pipeline: Pipeline,
    fill: str,
    ask: str,
    *,
    metric: str,
    allowed: float,
    taus: Sequence[float] = TAUS,
    on_progress: OnProgress | None = None,
) -> Calibration:
    """Try thresholds on questions that are kept for this, and choose one.

    Args:
        pipeline: with `memory.trigger`; the memory that it names is left alone.
        fill: source of the questions that fill the memory.
        ask: source of the questions that are asked then.
        metric: what is to be kept.
        allowed: how much of the metric may be lost.
        taus: the thresholds.
        on_progress: told of every long step.

    Raises:
        InputError: the pipeline has no `memory.trigger`, the metric says nothing about the questions, or one question
            both fills and is asked.
        RagkitError: a model or the index cannot be opened.
    """
    measure = parse_metric(metric)
    sets = [load_questions(source) for source in (fill, ask)]
    if both := {question.question for question in sets[0]} & {question.question for question in sets[1]}:
        raise InputError(f"{len(both)} questions both fill the memory and are asked, the first is '{min(both)}'")
    reservoir, triggers = _memory_of(pipeline)
    trial = _Trial(pipeline, reservoir, sets[1], measure, on_progress)
    with tempfile.TemporaryDirectory(prefix="ragkit-calibration-") as folder:
        full = Path(folder) / "full"
        remembered = trial.fill(sets[0], full)
        points: list[Point] = []
        scores: list[list[float]] = []
        for number, tau in enumerate([NO_REUSE, *sorted(taus)]):
            copy = Path(folder) / str(number)
            shutil.copytree(full, copy)
            values, point = trial.ask(copy, tau, scores[0] if scores else None)
            scores.append(values)
            points.append(point)
    without, *curve = points
    good = [point for point in curve if point.loss <= allowed + 1e-9]
    chosen = min(good, key=lambda point: (point.items, -point.tau), default=None)
    return Calibration(
        encoder=reservoir.encoder.describe(),
        theta=sorted({trigger.theta for trigger in triggers}),
        metric=metric,
        allowed=allowed,
        filled=_digest(sets[0]),
        asked=_digest(sets[1]),
        remembered=remembered,
        without=without,
        curve=curve,
        chosen=None if chosen is None else chosen.tau,
    )


class _Trial:
    """Runs a pipeline with other thresholds and other folders for its memory."""

    def __init__(
        self,
        pipeline: Pipeline,
        reservoir: Reservoir,
        questions: Sequence[Question],
        metric: Metric,
        on_progress: OnProgress | None,
    ) -> None:
        self._pipeline, self._reservoir = pipeline, reservoir
        self._questions, self._metric, self._on_progress = questions, metric, on_progress
        names = {step.id: step.stage.name for step in steps_of(pipeline.nodes)}
        self._retrievers = {step for step, stage in names.items() if stage.startswith("retrieve.")}

    def fill(self, questions: Sequence[Question], folder: Path) -> int:
        """Fill a memory without reuse; return how many passages it holds then."""
        memory = self._run(questions, folder, NO_REUSE)[1]
        count = memory.count
        memory.close()
        if not count:
            raise InputError("the questions that should fill the memory left nothing in it: is there a memory.store?")
        return count

    def ask(self, folder: Path, tau: float, without: Sequence[float] | None) -> tuple[list[float], Point]:
        """Ask the questions at a threshold; return each one's value of the metric, and the point of the curve."""
        predictions, memory = self._run(self._questions, folder, tau)
        memory.close()
        rows: Any = [prediction.to_row() for prediction in predictions]
        found = self._metric.compute(self._questions, rows)
        values = [value for value in found if value is not None]
        average = mean(values)
        if average is None:
            raise InputError(f"the metric '{self._metric}' says nothing about these questions: choose another one")
        losses = [before - now for before, now in zip(without or values, values, strict=True)]
        low, high = bootstrap_interval(losses) or (0.0, 0.0)
        count = len(predictions)
        point = Point(
            tau=tau,
            value=average,
            loss=mean(losses) or 0.0,
            loss_interval=(low, high),
            searches=sum(prediction.usage.searches for prediction in predictions) / count,
            items=sum(map(self._items, predictions)) / count,
            seconds=sum(prediction.usage.seconds for prediction in predictions) / count,
            failures=sum(prediction.error is not None for prediction in predictions),
        )
        return values, point

    def _run(self, questions: Sequence[Question], folder: Path, tau: float) -> tuple[list[Prediction], Reservoir]:
        settings = {name: getattr(self._reservoir, name) for name in self._reservoir.model_fields_set}
        memory = Reservoir(**(settings | {"path": folder}))
        stages = {}
        for step in steps_of(self._pipeline.nodes):
            if isinstance(getattr(step.stage, "memory", None), Reservoir):
                threshold = {"tau": tau} if isinstance(step.stage, MemoryTrigger) else {}
                stages[step.id] = step.stage.model_copy(update={"memory": memory, **threshold})
        changed = Pipeline(
            replace_stages(self._pipeline.nodes, stages),
            models=self._pipeline.models,
            index=self._pipeline.index,
            run=self._pipeline.settings,
        )
        asked = [Asked(question.id, question.question, question.vars) for question in questions]
        return changed.predict(asked, on_progress=self._on_progress), memory

    def _items(self, prediction: Prediction) -> int:
        """Return how many passages a question got from outside."""
        events = prediction.trace.events if prediction.trace else []
        outside = (event for event in events if event.stage.rpartition("/")[2] in self._retrievers)
        return sum(len(event.wrote.get("documents", ())) for event in outside)


def _memory_of(pipeline: Pipeline) -> tuple[Reservoir, list[MemoryTrigger]]:
    triggers = [step.stage for step in steps_of(pipeline.nodes) if isinstance(step.stage, MemoryTrigger)]
    if not triggers or not isinstance(pipeline.memory, Reservoir):
        raise InputError(f"the pipeline '{pipeline.name}' has no memory.trigger, so there is no threshold to choose")
    return pipeline.memory, triggers


def _digest(questions: Sequence[Question]) -> dict[str, Any]:
    digest = hashlib.sha256(b"".join(map(question_line, questions))).hexdigest()
    return {"sha256": digest, "count": len(questions)}
