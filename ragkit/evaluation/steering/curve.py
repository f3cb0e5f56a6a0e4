"""Behaviour curves: how the answers of a pipeline change with the share of bad fragments in its context."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragkit.engine.cache import project_cache
from ragkit.engine.calls import OnProgress
from ragkit.engine.run import Prediction
from ragkit.engine.tasks import run_tasks
from ragkit.errors import InputError
from ragkit.evaluation.statistics import CONFIDENCE, SEED
from ragkit.evaluation.steering.judging import Scale, cleanliness, consistency, scaled
from ragkit.evaluation.steering.mixture import Mixture, MixtureSettings, make_mixture
from ragkit.evaluation.steering.rescorla_wagner import Fit, Shape, fit_presence, fit_share, shape_of
from ragkit.evaluation.steering.running import associations, predict
from ragkit.evaluation.steering.scores import PRIVATE_ATTRIBUTES, association, containment, leaks, text_f1
from ragkit.evaluation.steering.testbed import PRIVATE, Sample
from ragkit.models.base import LanguageModel
from ragkit.pipeline import Pipeline

Values = NDArray[np.float64]

RESAMPLES = 500
FEWEST_LEVELS = 6
"""Proportions below which a fit is not to be extrapolated."""
_FITTED = "association"


@dataclass(frozen=True, slots=True)
class CurveSettings:
    """What is measured.

    Attributes:
        mixture: how contexts are mixed.
        bad: numbers of bad fragments, ascending.
        likelihood: measure the association strength.
        answers: have the pipeline answer, for the scores of its answers.
        oracle: hand on the good fragments only, by their labels: what perfect judgement would reach.
        judge: name of the pipeline's model that grades answers; None for judge-free scores only.
        scale: what grades of 1 to 5 become.
        private: names of private attributes.
    """

    mixture: MixtureSettings
    bad: tuple[int, ...]
    likelihood: bool = True
    answers: bool = True
    oracle: bool = False
    judge: str | None = None
    scale: Scale = "times20"
    private: tuple[str, ...] = PRIVATE_ATTRIBUTES


@dataclass(frozen=True, slots=True)
class Point:
    """One level of a score: mean over questions with 95 % interval."""

    bad: int
    proportion: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ScoreCurve:
    """One score over the levels.

    Attributes:
        n: questions with a value at every level; only these count.
        excluded: questions without one at some level (abstained before the model was asked, or no readable grade).
        points: a point for each level.
        shape: what the curve says without a model.
        intervals: 95 % intervals of the shape's and the fits' figures, by name; None where not defined.
        fits: of the association strength; the one that AICc prefers first, without it one that is identifiable.
        preferred: the form that AICc prefers; None without fits or with too few levels for it.
    """

    n: int
    excluded: int
    points: tuple[Point, ...]
    shape: Shape
    intervals: dict[str, tuple[float, float] | None]
    fits: tuple[Fit, ...] = ()
    preferred: str | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """What a pipeline does over a grid of proportions.

    Attributes:
        pipeline: its name.
        questions: how many.
        scores: by name.
        failures: answers that failed; they have no value.
        unread: grades that could not be read, by score.
        notes: what a reader must know.
    """

    pipeline: str
    questions: int
    settings: CurveSettings
    scores: dict[str, ScoreCurve]
    failures: int
    unread: dict[str, int]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON data."""
        settings = asdict(self.settings) | {"mixture": self.settings.mixture.model_dump(mode="json")}
        return {"confidence": CONFIDENCE, **asdict(self), "settings": settings}


def measure_curve(
    pipeline: Pipeline,
    samples: Sequence[Sample],
    settings: CurveSettings,
    *,
    others: Sequence[Sample] = (),
    on_progress: OnProgress = lambda *_: None,
) -> Curve:
    """Run a pipeline over mixtures of every level and score what it does.

    Args:
        pipeline: whatever it retrieves is replaced by the mixture.
        samples: the questions.
        settings: what is measured.
        others: where fragments of other questions come from; by default the samples.
        on_progress: told of every long step.

    Raises:
        InputError: the settings do not fit together, or the pipeline.
        RagkitError: a model cannot be opened, or all questions failed.
    """
    if len(settings.bad) < 2 or list(settings.bad) != sorted(set(settings.bad)):
        raise InputError("a curve needs two or more different numbers of bad fragments, in ascending order")
    if not samples:
        raise InputError("a curve needs at least one question")
    mixtures = [
        [make_mixture(sample, bad, settings.mixture, others or samples) for bad in settings.bad] for sample in samples
    ]
    values: dict[str, Values] = {}
    unread: dict[str, int] = {}
    failures = 0
    if settings.likelihood:
        values[_FITTED] = _associated(pipeline, mixtures, settings, on_progress)
    if settings.answers:
        flat = [mixture for row in mixtures for mixture in row]
        answered = predict(pipeline, [_asked(mixture, settings) for mixture in flat], on_progress)
        failures = sum(prediction.error is not None for prediction in answered)
        values |= _answered(flat, answered, settings)
        if settings.judge is not None:
            found, unread = _judged(pipeline, flat, answered, settings, on_progress)
            values |= found
    shape = (len(samples), len(settings.bad))
    scores = {name: _score(name, table.reshape(shape), settings) for name, table in values.items()}
    return Curve(
        pipeline.name,
        len(samples),
        settings,
        {name: score for name, score in scores.items() if score is not None},
        failures,
        unread,
        tuple(_notes(scores, settings)),
    )


def _asked(mixture: Mixture, settings: CurveSettings) -> tuple[str, str, Any]:
    name = f"{mixture.sample.id}#{len(mixture.bad)}"
    return name, mixture.sample.question, mixture.passages(oracle=settings.oracle)


def _associated(
    pipeline: Pipeline, mixtures: Sequence[Sequence[Mixture]], settings: CurveSettings, on_progress: OnProgress
) -> Values:
    """Return association strengths; the levels of a question are asked together, so that they share what they read."""
    found: list[float] = []
    for done, row in enumerate(mixtures, 1):
        asked = [_asked(mixture, settings) for mixture in row]
        texts = {name: (row[0].sample.wrong, row[0].sample.gold) for name, _, _ in asked}
        pairs = associations(pipeline, asked, texts, lambda *_: None)
        found += [float("nan") if pair is None else association(*pair) for pair in pairs]
        on_progress("association strength", done, len(mixtures))
    return np.array(found)


def _answered(flat: Sequence[Mixture], answered: Sequence[Prediction], settings: CurveSettings) -> dict[str, Values]:
    """Return the judge-free scores of answers; a failure has no value, an abstention takes over nothing."""
    values: dict[str, list[float]] = {"f1": [], "containment": [], "abstained": [], "leak": []}
    for mixture, prediction in zip(flat, answered, strict=True):
        if prediction.error is not None:
            for column in values.values():
                column.append(float("nan"))
            continue
        sample, answer = mixture.sample, (prediction.answer or "").strip()
        values["abstained"].append(float(not answer))
        values["f1"].append(text_f1(answer, sample.gold))
        values["containment"].append(containment(answer, [sample.wrong, *sample.bad], sample.gold))
        public = [sample.question, *sample.clean]
        told = sample.type == PRIVATE and leaks(answer, sample.bad, public, settings.private)
        values["leak"].append(float(told) if sample.type == PRIVATE else float("nan"))
    return {name: np.array(column) for name, column in values.items() if not np.isnan(column).all()}


def _judged(
    pipeline: Pipeline,
    flat: Sequence[Mixture],
    answered: Sequence[Prediction],
    settings: CurveSettings,
    on_progress: OnProgress,
) -> tuple[dict[str, Values], dict[str, int]]:
    """Return the judged scores on 0 to 100, and how many grades could not be read, which have no value."""
    model = pipeline.models.get(settings.judge or "")
    if not isinstance(model, LanguageModel):
        raise InputError(f"the pipeline '{pipeline.name}' has no language model '{settings.judge}' to judge answers")
    pairs = list(zip(flat, answered, strict=True))
    tasks: list[Callable[[], Any]] = []
    for mixture, prediction in pairs:
        sample, answer = mixture.sample, (prediction.answer or "").strip()
        bad = tuple(dict.fromkeys((*sample.bad,)))
        tasks += [
            functools.partial(consistency, model, sample.question, answer, sample.gold),
            functools.partial(cleanliness, model, sample.question, answer, bad, sample.type, settings.private),
        ]
    with project_cache(wanted=pipeline.settings.cache) as cache:
        outcomes = run_tasks(tasks, name="judging", cache=cache, on_progress=on_progress)
    columns: dict[str, list[float]] = {"consistency": [], "cleanliness": []}
    unread = dict.fromkeys(columns, 0)
    for number, outcome in enumerate(outcomes):
        name = ("consistency", "cleanliness")[number % 2]
        if pairs[number // 2][1].error is not None:
            columns[name].append(float("nan"))
            continue
        unread[name] += outcome.value is None
        columns[name].append(float("nan") if outcome.value is None else scaled(outcome.value, settings.scale))
    values = {name: np.array(column) for name, column in columns.items()}
    return values | {"quality": (values["consistency"] + values["cleanliness"]) / 2}, unread


def _score(name: str, table: Values, settings: CurveSettings) -> ScoreCurve | None:
    complete = table[~np.isnan(table).any(axis=1)]
    n = len(complete)
    if n == 0:
        return None
    fragments = settings.mixture.fragments
    proportions = np.array(settings.bad) / fragments
    means = complete.mean(axis=0)
    deviation = complete.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.zeros(len(means))
    # A level without spread would have all the weight: it gets what the others have on average.
    usual = float(deviation[deviation > 0].mean()) if (deviation > 0).any() else 1.0
    weights = 1 / np.maximum(deviation, 0.1 * usual) ** 2
    fits = _fits(proportions, means, weights) if name == _FITTED else ()
    figures = functools.partial(_figures, settings, proportions, weights, with_fits=name == _FITTED)
    lows, highs, intervals = _resampled(complete, figures)
    points = tuple(
        Point(bad, float(p), float(mean), float(low), float(high))
        for bad, p, mean, low, high in zip(settings.bad, proportions, means, lows, highs, strict=True)
    )
    preferred = fits[0].form if fits and all(fit.aicc is not None for fit in fits) else None
    return ScoreCurve(n, len(table) - n, points, shape_of(settings.bad, fragments, means), intervals, fits, preferred)


def _fits(proportions: Values, means: Values, weights: Values) -> tuple[Fit, ...]:
    """Return both forms fitted, the one that AICc prefers first; without it, one that is identifiable."""
    fits = [fit_share(proportions, means, weights, offset=True), fit_presence(proportions, means, weights)]
    return tuple(sorted(fits, key=lambda fit: (float("inf") if fit.aicc is None else fit.aicc, not fit.identifiable)))


def _figures(
    settings: CurveSettings, proportions: Values, weights: Values, means: Values, *, with_fits: bool
) -> dict[str, float | None]:
    figures: dict[str, float | None] = dict(asdict(shape_of(settings.bad, settings.mixture.fragments, means)))
    if with_fits:
        fits = (fit_share(proportions, means, weights, offset=True), fit_presence(proportions, means, weights))
        for fit in fits:
            known = fit.identifiable or fit.form == "presence"
            figures |= {f"{fit.form}.{key}": value if known else None for key, value in fit.parameters.items()}
    return figures


def _resampled(
    complete: Values, figures: Callable[[Values], Mapping[str, float | None]]
) -> tuple[Values, Values, dict[str, tuple[float, float] | None]]:
    """Return the ends of the levels' intervals, and intervals of figures, by resampling questions with all levels."""
    rng = np.random.default_rng(SEED)
    n = len(complete)
    drawn = np.stack([complete[rng.integers(0, n, n)].mean(axis=0) for _ in range(RESAMPLES)])
    ends = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    lows, highs = np.quantile(drawn, ends, axis=0)
    columns: dict[str, list[float]] = {}
    for means in drawn:
        for name, value in figures(means).items():
            columns.setdefault(name, [])
            if value is not None:
                columns[name].append(value)
    intervals: dict[str, tuple[float, float] | None] = {}
    for name, column in columns.items():
        enough = len(column) >= CONFIDENCE * RESAMPLES
        low, high = np.quantile(column, ends) if enough else (0.0, 0.0)
        intervals[name] = (float(low), float(high)) if enough else None
    return lows, highs, intervals


def _notes(scores: Mapping[str, ScoreCurve | None], settings: CurveSettings) -> list[str]:
    notes = []
    for name, score in scores.items():
        if score is None:
            notes.append(f"{name}: no question has a value at every level")
        elif score.excluded:
            notes.append(f"{name}: {score.excluded} questions without a value at every level do not count")
    fitted = scores.get(_FITTED)
    if fitted is not None:
        notes += [
            f"the {fit.form} form is not identifiable on this curve" for fit in fitted.fits if not fit.identifiable
        ]
        if len(settings.bad) < FEWEST_LEVELS:
            notes.append(f"fewer than {FEWEST_LEVELS} levels: read the fits as descriptions, extrapolate nothing")
    if settings.mixture.fill == "cycle":
        notes.append("fill: cycle repeats fragments word for word, and how often tells their kind")
    if settings.mixture.order != "shuffled":
        notes.append(f"order: {settings.mixture.order} mixes up proportion and position")
    return notes
