"""Train the head of an evidence model."""

import itertools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ragkit.engine.calls import Category, OnProgress
from ragkit.engine.registry import objectives
from ragkit.errors import InputError
from ragkit.models.base import Premise
from ragkit.models.evidence import EvidenceModel
from ragkit.models.evidence_features import FEATURES, WordWeights, whole
from ragkit.models.evidence_head import EvidenceHead
from ragkit.tuning.job import AdapterSettings, Objective, Trained, TrainingJob, TrainingStep
from ragkit.tuning.rows import EvidenceRow, Row

_FALLS: dict[str, Callable[[float], float]] = {
    "linear": lambda share: 1 - share,
    "cosine": lambda share: (1 + math.cos(math.pi * share)) / 2,
    "constant": lambda share: 1.0,
}
"""How the learning rate falls with the share of the steps that is done."""

_AT_ONCE = 128
"""Questions whose passages are encoded together: many, because the two lists of a question share passages."""

Examples = list[tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Features and labels of the passages of each question."""


@objectives.register("evidence")
class EvidenceObjective(Objective):
    """Binary cross-entropy of small networks over the features of passages; the encoder stays as it is.

    Several networks are trained side by side, from different starts on the same batches; their mean is steadier than
    any of them. The figures tell the area under the ROC curve on the validation rows, and for some recalls of evidence
    the threshold that keeps so much of it there, with the share of the other passages that it drops.
    """

    rows: ClassVar[type[Row]] = EvidenceRow
    trains: ClassVar[Category] = EvidenceModel.category

    hidden: tuple[int, ...] = Field((64, 32), min_length=1, description="units of the hidden layers")
    networks: int = Field(4, ge=1, description="how many are trained")

    def check(self, adapter: AdapterSettings) -> None:
        if adapter.model_dump() != AdapterSettings().model_dump():
            raise InputError("objective evidence trains a head of its own kind: leave the section 'adapter' out")

    def train(self, job: TrainingJob) -> Trained:
        model = job.model
        if not isinstance(model, EvidenceModel):
            raise InputError(f"objective evidence trains models of provider 'evidence', not {type(model).__name__}")
        training, validation = _of_kind(job.rows), _of_kind(job.validation)
        words = WordWeights.of(whole(Premise(*p)) for p in dict.fromkeys(p for row in training for p in row.passages))
        with model.in_use("entail_each"):
            every_example = _examples(model, [*training, *validation], words, job.on_progress)
            examples, watched = every_example[: len(training)], every_example[len(training) :]
        every = np.concatenate([features for features, _ in examples])
        mean, scale = every.mean(axis=0), every.std(axis=0) + 1e-6
        scaled = [((features - mean) / scale, labels) for features, labels in examples]
        layers, loss, steps = self._optimise(job, scaled)
        head = EvidenceHead(model.encoder_id, words, mean, scale, layers)
        head.save(job.result)
        return Trained(
            steps, {"loss": loss, "questions": len(training), "passages": len(every), **_judge(head, watched)}
        )

    def _optimise(
        self, job: TrainingJob, examples: Examples
    ) -> tuple[tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...], float, int]:
        """Return the layers of the networks, the last loss, and the number of steps."""
        import torch

        settings = job.training
        generator = torch.Generator().manual_seed(settings.seed)
        sizes = (len(FEATURES), *self.hidden, 1)
        layers = [_layer(self.networks, inputs, outputs, generator) for inputs, outputs in itertools.pairwise(sizes)]
        tensors = [tensor for layer in layers for tensor in layer]
        optimiser = torch.optim.AdamW(tensors, lr=settings.learning_rate, weight_decay=settings.weight_decay)
        data = [(torch.from_numpy(features), torch.from_numpy(labels)) for features, labels in examples]
        per_epoch = -(-len(data) // settings.batch_size)
        steps = settings.steps or max(1, round(settings.epochs * per_epoch))
        warm = max(1, round(settings.warmup * steps))

        def rate(step: int) -> float:
            return min(1.0, (step + 1) / warm) * _FALLS[settings.schedule](min(1.0, step / steps))

        schedule: Any = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
        started, value, order = time.perf_counter(), 0.0, torch.empty(0, dtype=torch.long)
        for step in range(1, steps + 1):
            if len(order) < settings.batch_size:
                order = torch.cat([order, torch.randperm(len(data), generator=generator)])
            chosen, order = order[: settings.batch_size].tolist(), order[settings.batch_size :]
            features = torch.cat([data[number][0] for number in chosen])
            labels = torch.cat([data[number][1] for number in chosen])
            scores = _scores(features, layers)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, labels.expand_as(scores))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            value = float(loss.detach())
            if step % settings.save_every == 0 or step == steps:
                seconds = time.perf_counter() - started
                job.on_step(TrainingStep(step, steps, {"loss": value}, 0, seconds, step))
        return tuple((w.detach().numpy(), b.detach().numpy()) for w, b in layers), value, steps


def _of_kind(rows: Sequence[Row]) -> list[EvidenceRow]:
    return [row for row in rows if isinstance(row, EvidenceRow) and row.passages]


def _examples(
    model: EvidenceModel, rows: Sequence[EvidenceRow], words: WordWeights, on_progress: OnProgress
) -> Examples:
    examples: Examples = []
    for start in range(0, len(rows), _AT_ONCE):
        on_progress("features", start, len(rows))
        part = rows[start : start + _AT_ONCE]
        lists = [model.candidates(row.question, [Premise(*passage) for passage in row.passages]) for row in part]
        labels = [np.array(row.evidence, dtype=np.float32) for row in part]
        examples += zip(model.features(lists, words), labels, strict=True)
    on_progress("features", len(rows), len(rows))
    return examples


def _layer(networks: int, inputs: int, outputs: int, generator: Any) -> tuple[Any, Any]:
    """Return weights and biases of one layer of all networks, with the usual random start of linear layers."""
    import torch

    bound = inputs**-0.5
    weights = torch.empty(networks, inputs, outputs).uniform_(-bound, bound, generator=generator)
    biases = torch.empty(networks, 1, outputs).uniform_(-bound, bound, generator=generator)
    return weights.requires_grad_(), biases.requires_grad_()


def _scores(features: Any, layers: Sequence[tuple[Any, Any]]) -> Any:
    """Return the score of each passage by each network, shape (networks, passages)."""
    values = features
    for number, (weights, biases) in enumerate(layers):
        values = values @ weights + biases
        if number + 1 < len(layers):
            values = values.relu()
    return values[..., 0]


_RECALLS = (0.9, 0.95, 0.98)


def _judge(head: EvidenceHead, examples: Examples) -> dict[str, Any]:
    """Return how well the head does on rows that it was not trained on."""
    if not examples:
        return {}
    probabilities = np.concatenate([np.exp(head.logprobs(features)[:, 0]) for features, _ in examples])
    labels = np.concatenate([labels for _, labels in examples]) > 0
    if labels.all() or not labels.any():
        return {}
    evidence, others = np.sort(probabilities[labels]), probabilities[~labels]
    thresholds = {}
    for recall in _RECALLS:
        threshold = float(evidence[int((1 - recall) * len(evidence))])
        thresholds[f"{recall:g}"] = {"threshold": threshold, "dropped": float((others < threshold).mean())}
    return {"validation_auc": roc_auc(probabilities, labels), "validation_recall": thresholds}


def roc_auc(scores: NDArray[np.floating], labels: NDArray[np.bool_]) -> float:
    """Return the probability that a true one scores above a false one; a tie counts half.

    There have to be both.
    """
    from scipy.stats import rankdata

    ranks = rankdata(scores)
    positives = int(labels.sum())
    above = float(ranks[labels].sum()) - positives * (positives + 1) / 2
    return above / (positives * (len(labels) - positives))
