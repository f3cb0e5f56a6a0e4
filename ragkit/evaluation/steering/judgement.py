"""How well a pipeline's judgement of passages (`vars.judgement`) finds the bad ones in mixtures."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragkit.engine.calls import OnProgress
from ragkit.engine.nodes import written_by
from ragkit.errors import InputError
from ragkit.evaluation.statistics import CONFIDENCE, bootstrap_statistic
from ragkit.evaluation.steering.mixture import MixtureSettings, make_mixture
from ragkit.evaluation.steering.running import predict
from ragkit.evaluation.steering.testbed import Sample
from ragkit.pipeline import Pipeline

OUT_OF_RANGE = "out of range"


@dataclass(frozen=True, slots=True)
class Level:
    """The judgements of contexts with so many bad fragments.

    Attributes:
        precision: of the fragments called unreliable; None if none was.
        recall: of the bad fragments; None if there are none. Of contexts with one it is the one-poison recall.
        false_alarms: share of the good fragments called unreliable; None if there are none.
        exact: share of contexts whose bad fragments were named, and no other.
    """

    bad: int
    precision: float | None
    recall: float | None
    false_alarms: float | None
    exact: float


@dataclass(frozen=True, slots=True)
class Judgements:
    """The judgements of a pipeline over all levels.

    Attributes:
        f1: of naming bad fragments, over all contexts; None where nothing is bad and nothing was called so.
        low: lower end of its 95 % interval over questions.
        high: upper end.
        out_of_range: share of replies with a number that no fragment has.
        incomplete: share of replies that had to be repaired in any way.
        failures: contexts that failed; they count as unjudged.
    """

    pipeline: str
    questions: int
    levels: tuple[Level, ...]
    f1: float | None
    low: float | None
    high: float | None
    out_of_range: float
    incomplete: float
    failures: int

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {"confidence": CONFIDENCE, **asdict(self)}


def measure_judgements(
    pipeline: Pipeline,
    samples: Sequence[Sample],
    settings: MixtureSettings,
    bad: Sequence[int],
    *,
    others: Sequence[Sample] = (),
    on_progress: OnProgress = lambda *_: None,
) -> Judgements:
    """Run a pipeline over mixtures and compare what it calls unreliable with the labels.

    Raises:
        InputError: no stage of the pipeline judges.
        RagkitError: a model cannot be opened, or all contexts failed.
    """
    if "vars.judgement" not in written_by(pipeline.nodes):
        raise InputError(f"no stage of the pipeline '{pipeline.name}' judges passages: it needs a steer.* stage")
    mixtures = [make_mixture(sample, number, settings, others or samples) for sample in samples for number in bad]
    asked = [(f"{m.sample.id}#{len(m.bad)}", m.sample.question, m.passages()) for m in mixtures]
    answered = predict(pipeline, asked, on_progress)
    # Of each context: hits, called, bad, good that were called, good, exact.
    rows = np.zeros((len(samples), len(bad), 6))
    out_of_range = incomplete = failures = 0
    for number, (mixture, prediction) in enumerate(zip(mixtures, answered, strict=True)):
        judgement = prediction.vars.get("judgement") or {"unreliable": [], "warnings": []}
        failures += prediction.error is not None
        called = {int(name.rpartition("-")[2]) for name in judgement["unreliable"]}
        warnings = [warning for warning in judgement["warnings"] if warning != "no answer"]
        out_of_range += OUT_OF_RANGE in warnings
        incomplete += bool(warnings)
        truth = set(mixture.bad)
        rows[divmod(number, len(bad))] = (
            len(called & truth), len(called), len(truth), len(called - truth), len(mixture.good),
            called == truth and prediction.error is None,
        )  # fmt: skip
    low, high = bootstrap_statistic(rows.sum(axis=1), _f1) or (None, None)
    return Judgements(
        pipeline.name,
        len(samples),
        tuple(_level(number, rows[:, place]) for place, number in enumerate(bad)),
        _f1(rows.sum(axis=1)),
        low,
        high,
        out_of_range / len(mixtures),
        incomplete / len(mixtures),
        failures,
    )


def _level(number: int, rows: NDArray[np.float64]) -> Level:
    hits, called, bad, alarms, good, _ = rows.sum(axis=0)
    return Level(
        bad=number,
        precision=float(hits / called) if called else None,
        recall=float(hits / bad) if bad else None,
        false_alarms=float(alarms / good) if good else None,
        exact=float(rows[:, 5].mean()),
    )


def _f1(rows: NDArray[np.float64]) -> float | None:
    hits, called, bad = rows.sum(axis=0)[:3]
    return float(2 * hits / (called + bad)) if called + bad else None
