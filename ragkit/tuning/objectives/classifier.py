"""Training classifiers of texts and of pairs of texts."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

from pydantic import Field

from ragkit.engine.calls import Category
from ragkit.engine.registry import objectives
from ragkit.errors import InputError
from ragkit.models.adapters import CLASSIFIER_SETTINGS, adapter_folder
from ragkit.models.classifier import ClassifierModel
from ragkit.tuning.job import AdapterSettings, Objective, Trained, TrainingJob
from ragkit.tuning.objectives import encoders
from ragkit.tuning.objectives import trainer as shared
from ragkit.tuning.rows import LabelRow, Row

_WATCHED_AT_ONCE = 32


@objectives.register("classifier")
class ClassifierObjective(Objective):
    """Learn the labels of texts, or of pairs of texts, by cross-entropy; an encoder becomes a classifier.

    A step sees every label, and within a label every set, about as often, whatever the rows' shares are. The result is
    used as a model, `{provider: classifier, model: ..., adapter: ...}`, and as an entailment model if its labels are
    those of entailment. It grades what others write or find, so no gate judges it: the figures hold accuracy and
    macro-F1 on the validation rows.
    """

    rows: ClassVar[type[Row]] = LabelRow
    trains: ClassVar[Category] = ClassifierModel.category
    gated: ClassVar[bool] = False

    head_learning_rate: float | None = Field(
        None, gt=0, description="of the head's weights; by default five times that of the rest"
    )
    damping: float = Field(-2.0, le=0, description="added to the attention logits between statement and text")
    statement_length: int = Field(64, ge=8, description="tokens of a statement; the rest of max_length is for the text")

    def check(self, adapter: AdapterSettings) -> None:
        encoders.check_adapter(adapter)
        if adapter.start is not None and not (adapter_folder(adapter.start) / CLASSIFIER_SETTINGS).is_file():
            raise InputError(f"adapter: '{adapter.start}' has no head of a classifier to go on from")

    def train(self, job: TrainingJob) -> Trained:
        if not isinstance(job.model, ClassifierModel):
            raise InputError(f"objective classifier trains models of provider classifier, not {job.model.model}")
        if job.training.max_length <= self.statement_length:
            raise InputError(f"training: max_length {job.training.max_length} leaves no room for texts")
        rows = cast("Sequence[LabelRow]", job.rows)
        labels = sorted({row.label for row in rows})
        if len(labels) < 2:
            raise InputError(f"the rows have one label only ({', '.join(labels)}): a classifier needs two or more")
        weights = self._load(job, labels)
        steps = shared.step_count(len(rows), job.training)
        plan = balanced(rows, steps * job.training.batch_size, job.training.batch_size, job.training.seed)
        trainer = self._trainer(weights, rows, plan, steps, weights[0].settings["labels"], job)
        trained = shared.run_and_write(trainer, job, self._write, {"rows": len(rows), "labels": labels})
        judged = _judge(weights[0], cast("Sequence[LabelRow]", job.validation))
        return Trained(trained.steps, trained.figures | judged)

    def _load(self, job: TrainingJob, labels: Sequence[str]) -> Any:
        from sentence_transformers import CrossEncoder
        from torch import nn

        from ragkit.models.classifier_head import ClassifierHead

        encoder = encoders.load(job, "SentenceTransformer")
        encoders.add_adapter(encoder, job)
        network, tokenizer = encoder.transformers_model, encoder.tokenizer
        if job.adapter.start is not None:
            head = ClassifierHead.with_head(adapter_folder(job.adapter.start), network, tokenizer)
            if unknown := set(labels) - set(head.settings["labels"]):
                raise InputError(f"adapter: '{job.adapter.start}' does not know the label {', '.join(sorted(unknown))}")
        else:
            head = ClassifierHead(
                network,
                tokenizer,
                labels=labels,
                query_length=self.statement_length,
                passage_length=job.training.max_length - self.statement_length,
                damping=self.damping,
            )
        return CrossEncoder(modules=[head], device=job.model.resolved_device, activation_fn=nn.Identity())

    def _trainer(
        self,
        weights: Any,
        rows: Sequence[LabelRow],
        plan: Sequence[int],
        steps: int,
        labels: Sequence[str],
        job: TrainingJob,
    ) -> Any:
        from datasets import Dataset
        from sentence_transformers.cross_encoder import (
            CrossEncoderTrainer,
            CrossEncoderTrainingArguments,
            losses,
        )

        table = [
            {"statement": rows[n].statement, "text": rows[n].text, "label": labels.index(rows[n].label)} for n in plan
        ]
        args = shared.arguments(
            CrossEncoderTrainingArguments,
            job,
            steps,
            learning_rate_mapping={
                r"(^|\.)0\.(inner|outer)": self.head_learning_rate or 5 * job.training.learning_rate
            },
            bf16=job.model.resolved_dtype == "bfloat16",  # weights stay in float32, passes take a third of the time
        )
        loss = losses.CrossEntropyLoss(weights)
        return encoders.build(CrossEncoderTrainer, weights, loss, Dataset.from_list(table), args)

    def _write(self, trainer: Any, job: TrainingJob) -> None:
        head = trainer.accelerator.unwrap_model(trainer.model)[0]

        def save_full(folder: Path) -> None:
            head.save(str(folder))

        further = head.save_head if job.adapter.type != "full" else None
        encoders.write(trainer.accelerator.unwrap_model(trainer.model), job, save_full=save_full, further=further)


def balanced(rows: Sequence[LabelRow], count: int, size: int, seed: int) -> list[int]:
    """Return which row comes when: labels take turns, and within a label the sets; all random by the seed.

    The plan is made beforehand, so that a resumed training sees the same rows as an uninterrupted one. Rows of like
    length stand together, in batches of `size`, so that little is padded.
    """
    source = random.Random(seed)  # noqa: S311 - not for secrets
    groups: dict[str, dict[str, list[int]]] = {}
    for number, row in enumerate(rows):
        groups.setdefault(row.label, {}).setdefault(encoders.set_of(row), []).append(number)
    turns = [[_endless(own, source) for own in sets.values()] for sets in groups.values()]
    drawn = [next(turns[n % len(turns)][n // len(turns) % len(turns[n % len(turns)])]) for n in range(count)]
    plan: list[int] = []
    for start in range(0, count, 8 * size):
        chunk = drawn[start : start + 8 * size]
        chunk.sort(key=lambda number: len(rows[number].text))
        batches = [chunk[first : first + size] for first in range(0, len(chunk), size)]
        source.shuffle(batches)
        plan += [number for batch in batches for number in batch]
    return plan


def _endless(numbers: Sequence[int], source: random.Random) -> Iterator[int]:
    while True:
        yield from source.sample(numbers, len(numbers))


def _judge(head: Any, rows: Sequence[LabelRow]) -> dict[str, Any]:
    """Return how well a head does on rows that it was not trained on; macro-F1 is over the labels that they have."""
    import torch
    from sklearn.metrics import accuracy_score, f1_score

    if not rows:
        return {}
    labels = head.settings["labels"]
    said: list[str] = []
    with torch.inference_mode():
        for start in range(0, len(rows), _WATCHED_AT_ONCE):
            part = rows[start : start + _WATCHED_AT_ONCE]
            features = head.preprocess([(row.statement, row.text) for row in part])
            device = next(head.parameters()).device
            scores = head({name: tensor.to(device) for name, tensor in features.items()})["scores"]
            said += [labels[number] for number in scores.argmax(1).tolist()]
    truth = [row.label for row in rows]
    macro = float(f1_score(truth, said, average="macro", labels=sorted(set(truth)), zero_division=0))
    return {"validation": {"rows": len(rows), "accuracy": float(accuracy_score(truth, said)), "macro_f1": macro}}
