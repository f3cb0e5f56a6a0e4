"""Training of evidence heads."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ragkit.errors import InputError
from ragkit.models.base import Premise
from ragkit.models.evidence import EvidenceModel
from ragkit.models.evidence_features import words
from ragkit.models.evidence_head import WEIGHTS
from ragkit.models.sentence_transformers_models import CrossEncoderEntailment
from ragkit.tuning.job import AdapterSettings, TrainingJob, TrainingSettings
from ragkit.tuning.objectives.evidence import EvidenceObjective, roc_auc
from ragkit.tuning.rows import EvidenceRow

NAMES = ["Salt Road", "Amber Hours", "Tern Lake", "Osier Hill", "Harrow Mill", "Cape Vell"]


class Counted(EvidenceModel):
    """Reads texts as counts of their words, without weights."""

    def open(self):
        pass

    @property
    def encoder_id(self):
        return "counts"

    def _encode(self, texts, known):
        for text in texts:
            found = np.zeros(97, np.float32)
            for word in words(text):
                found[sum(map(ord, word)) % 97] += 1
            known[text] = found / (np.linalg.norm(found) or 1)


def rows(seed, number=24):
    """Return questions of two hops: the second passage is named by the first only."""
    draw = np.random.default_rng(seed)
    made = []
    for _ in range(number):
        first, second, *others = draw.permutation(NAMES)
        passages = [
            (first, f"{first} was made by {second}."),
            (second, "Born in a town by the sea."),
            *((name, f"{name} lies far from any road.") for name in others),
        ]
        order = draw.permutation(len(passages))
        made.append(
            EvidenceRow(
                question=f"Where was the maker of {first} born?",
                passages=tuple(passages[n] for n in order),
                evidence=tuple(bool(n < 2) for n in order),
            )
        )
    return made


def train(folder, model=None, validation=(), **settings):
    told = []
    job = TrainingJob(
        folder=folder,
        model=model or Counted(model="unused", device="cpu"),
        rows=rows(0),
        validation=validation,
        adapter=AdapterSettings(),
        training=TrainingSettings(
            **{"epochs": 30, "batch_size": 8, "learning_rate": 1e-2, "save_every": 40} | settings
        ),
        resume=False,
        on_step=told.append,
        on_progress=lambda *step: None,
    )
    return EvidenceObjective(hidden=(8,), networks=2).train(job), told


def test_it_learns_links_that_the_question_does_not_name(tmp_path):
    trained, told = train(tmp_path, validation=rows(1))
    assert trained.steps == 90 and [step.step for step in told] == [40, 80, 90]
    assert trained.figures["validation_auc"] > 0.98
    assert trained.figures["validation_recall"]["0.9"]["dropped"] > 0.9
    assert trained.figures["questions"] == 24 and trained.figures["passages"] == 24 * 6
    model = Counted(model="unused", device="cpu", adapter=str(tmp_path / "adapter"))
    from ragkit.models.evidence_head import EvidenceHead

    head = EvidenceHead.load(tmp_path / "adapter", "head")
    (row,) = rows(2, 1)
    (features,) = model.features([model.candidates(row.question, [Premise(*p) for p in row.passages])], head.words)
    likely = np.exp(head.logprobs(features)[:, 0])
    assert set(np.argsort(-likely)[:2]) == set(np.flatnonzero(row.evidence))


def test_the_same_job_gives_the_same_bytes(tmp_path):
    heads = []
    for name, seed in [("a", 0), ("b", 0), ("c", 1)]:
        train(tmp_path / name, epochs=3, seed=seed)
        heads.append((tmp_path / name / "adapter" / WEIGHTS).read_bytes())
    assert heads[0] == heads[1] != heads[2]


def test_schedules_and_steps(tmp_path):
    losses = {}
    for schedule in ("linear", "cosine", "constant"):
        trained, _ = train(tmp_path / schedule, steps=6, schedule=schedule)
        assert trained.steps == 6 and "validation_auc" not in trained.figures
        losses[schedule] = trained.figures["loss"]
    assert len(set(losses.values())) == 3


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(InputError, match="leave the section 'adapter' out"):
        EvidenceObjective().check(AdapterSettings(type="full"))
    EvidenceObjective().check(AdapterSettings())
    with pytest.raises(InputError, match="trains models of provider 'evidence', not CrossEncoderEntailment"):
        train(tmp_path, model=CrossEncoderEntailment(model="unused", device="cpu"))


def test_area_under_the_curve_is_that_of_scikit_learn():
    draw = np.random.default_rng(0)
    for decimals, number in itertools.product((1, 6), (5, 200)):
        scores, labels = draw.random(number).round(decimals), draw.random(number) < 0.4
        labels[:2] = [True, False]
        assert roc_auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))
