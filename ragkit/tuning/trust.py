"""Fit and measure trust judges: the classifier, and what the length or the question's words alone would do."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragkit.engine.cache import project_cache
from ragkit.engine.calls import OnProgress
from ragkit.engine.tasks import run_tasks
from ragkit.errors import InputError, RagkitError
from ragkit.evaluation.metrics.answers import harmonic, normalise
from ragkit.evaluation.split import part_of
from ragkit.evaluation.statistics import CONFIDENCE, bootstrap_statistic
from ragkit.evaluation.steering.mixture import MixtureSettings, make_mixture
from ragkit.evaluation.steering.testbed import Sample
from ragkit.models.base import Encoder
from ragkit.stages.steering.trust import TrustClassifier, trust_features

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """How well a judge finds bad fragments on held-out questions.

    Attributes:
        judge: `classifier`, `length` or `overlap`.
        precision: of the fragments that it calls bad.
        recall: of the bad fragments.
        f1: of both.
        low: lower end of the 95 % interval of F1 over questions; None where it is not defined.
        high: upper end.
    """

    judge: str
    precision: float
    recall: float
    f1: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class TrustResult:
    """A fitted classifier, and how it and the baselines do.

    Attributes:
        questions: of the training and of the test part.
        fragments: of the same.
    """

    classifier: TrustClassifier
    questions: tuple[int, int]
    fragments: tuple[int, int]
    judges: tuple[Judged, ...]

    def to_json(self) -> dict[str, Any]:
        """Return what was measured, without the classifier's weights."""
        return {
            "confidence": CONFIDENCE,
            "questions": self.questions,
            "fragments": self.fragments,
            "judges": [asdict(judge) for judge in self.judges],
        }


@dataclass(frozen=True, slots=True)
class _Labelled:
    sample: Sample
    text: str
    bad: bool


def fit_trust(
    samples: Sequence[Sample],
    encoder: Encoder,
    settings: MixtureSettings,
    *,
    on_progress: OnProgress = lambda *_: None,
) -> TrustResult:
    """Fit a classifier on the fragments of the training questions, and measure it on those of the test questions.

    A question's fragments are those of one mixture with as many bad ones as it has itself, controls applied; each
    text counts once. The split is that of all tuning, by the question's id.

    Args:
        samples: the questions.
        encoder: whose vectors are used.
        settings: the counter-controls and the seed count; the fragments are as many as each question has.
        on_progress: told of embedding.

    Raises:
        InputError: a part is empty.
    """
    labelled = [item for sample in samples for item in _fragments(sample, samples, settings)]
    train = [item for item in labelled if part_of(item.sample.id) == "train"]
    test = [item for item in labelled if part_of(item.sample.id) == "test"]
    if not train or not test:
        raise InputError(f"{len(samples)} questions are too few for a training and a test part")
    features = dict(zip(map(id, [*train, *test]), _embedded([*train, *test], encoder, on_progress), strict=True))
    notes = {"types": sorted({sample.type for sample in samples}), "controls": settings.controls.model_dump()}
    classifier = TrustClassifier.fit(
        [features[id(item)] for item in train],
        [not item.bad for item in train],
        encoder=encoder.describe(),
        notes=notes,
    )
    judges = [
        _judged("classifier", test, [1 - classifier.probability(features[id(item)]) for item in test], 0.5),
        _by_threshold("length", train, test, lambda item: -float(len(item.text.split()))),
        _by_threshold("overlap", train, test, _overlap),
    ]
    counts = tuple(len({item.sample.id for item in part}) for part in (train, test))
    return TrustResult(classifier, (counts[0], counts[1]), (len(train), len(test)), tuple(judges))


def _fragments(sample: Sample, others: Sequence[Sample], settings: MixtureSettings) -> list[_Labelled]:
    controls = settings.controls
    bad = len(sample.bad) * (2 if controls.beside else 1)
    total = len(sample.clean) + (controls.direct and sample.gold not in sample.clean) + bad
    own = settings.model_copy(update={"fragments": total, "fill": "cycle", "tags": "none"})
    mixture = make_mixture(sample, bad, own, others)
    texts = {fragment.text: fragment.bad for fragment in mixture.fragments}
    return [_Labelled(sample, text, label) for text, label in texts.items()]


def _embedded(items: Sequence[_Labelled], encoder: Encoder, on_progress: OnProgress) -> list[Floats]:
    with project_cache() as cache:
        tasks = [functools.partial(trust_features, encoder, item.sample.question, item.text) for item in items]
        outcomes = run_tasks(tasks, name="embedding", cache=cache, on_progress=on_progress)
    for item, outcome in zip(items, outcomes, strict=True):
        if outcome.error is not None:
            raise RagkitError(f"a fragment of '{item.sample.id}' could not be embedded: {outcome.error}")
    return [outcome.value for outcome in outcomes]


def _overlap(item: _Labelled) -> float:
    asked, words = set(normalise(item.sample.question).split()), set(normalise(item.text).split())
    return len(asked & words) / len(asked) if asked else 0.0


def _by_threshold(
    name: str, train: Sequence[_Labelled], test: Sequence[_Labelled], score: Callable[[_Labelled], float]
) -> Judged:
    """Return a judge by one number, in the direction and with the threshold that are best on the training part."""
    values = np.array([score(item) for item in train])
    truth = np.array([item.bad for item in train])
    best = (-1.0, 1.0, 0.0)
    for sign in (1.0, -1.0):
        for threshold in np.unique(sign * values):
            found = sign * values >= threshold
            precision = float(truth[found].mean()) if found.any() else 0.0
            recall = float(found[truth].mean()) if truth.any() else 0.0
            best = max(best, (harmonic(precision, recall), sign, float(threshold)))
    _, sign, threshold = best
    return _judged(name, test, [sign * score(item) for item in test], threshold)


def _judged(name: str, test: Sequence[_Labelled], badness: Sequence[float], threshold: float) -> Judged:
    """Return how well fragments of at least a badness are the bad ones; questions are what is resampled."""
    counts: dict[str, list[float]] = {}
    for item, value in zip(test, badness, strict=True):
        row = counts.setdefault(item.sample.id, [0.0, 0.0, 0.0])
        called = value >= threshold
        row[0] += called and item.bad
        row[1] += called
        row[2] += item.bad
    table = np.array(list(counts.values()))
    hit, called, bad = table.sum(axis=0)
    low, high = bootstrap_statistic(table, _f1) or (None, None)
    return Judged(name, hit / called if called else 0.0, hit / bad if bad else 0.0, _f1(table) or 0.0, low, high)


def _f1(table: Floats) -> float | None:
    hit, called, bad = table.sum(axis=0)
    return float(2 * hit / (called + bad)) if called + bad else None
