"""Training cross-encoders: to tell relevant passages from hard negatives, or to rank as a teacher does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

from pydantic import Field

from ragkit.engine.calls import Category
from ragkit.engine.registry import objectives
from ragkit.errors import InputError
from ragkit.models.adapters import PAIR_SETTINGS, adapter_folder
from ragkit.models.sentence_transformers_models import CrossEncoderReranker
from ragkit.tuning.job import AdapterSettings, Objective, Trained, TrainingJob
from ragkit.tuning.objectives import encoders
from ragkit.tuning.objectives import trainer as shared
from ragkit.tuning.objectives.encoders import Example, planned, scores_of, texts_of
from ragkit.tuning.rows import RankingRow, Row

_SURE = 10.0
"""Log-odds of gold labels in `list`: a target that leaves next to nothing to negatives."""


@objectives.register("reranker")
class Reranker(Objective):
    """Learn to score pairs of query and passage.

    Losses, each over a list of passages of one query:
      - `list`: the gold passages against the others, as distributions (ListNet, Cao et al. 2007).
      - `lambda`: pairs weighted by what swapping them does to nDCG (LambdaLoss, Wang et al. 2018).
      - `bce`: each passage by itself, gold or not.
      - `distil`: `list` with a teacher's scores, divided by `temperature`, in the place of gold labels.

    Heads:
      - `pair`: for encoders; begins with the ability of the encoder itself, and needs little data. See `PairScorer`.
      - `classifier`: the model's own classification head, a new one where it has none; needs `adapter: {type: full}`.
    """

    rows: ClassVar[type[Row]] = RankingRow
    trains: ClassVar[Category] = "reranker"

    loss: Literal["list", "lambda", "bce", "distil"] = Field(
        "list", description="list | lambda | bce | distil (needs a teacher's scores)"
    )
    head: Literal["pair", "classifier"] = Field("pair", description="pair (of an encoder) | classifier (of the model)")
    passages: int = Field(8, ge=2, description="passages of a query in a step: up to two gold ones, else negatives")
    head_learning_rate: float | None = Field(
        None, gt=0, description="of the head's weights; by default ten times that of the rest"
    )
    temperature: float = Field(1.0, gt=0, description="of the teacher's scores in distil")
    damping: float = Field(-3.0, le=0, description="head pair: added to the attention logits between query and passage")
    query_length: int = Field(64, ge=8, description="head pair: tokens of a query; the rest of max_length is passage")

    def check(self, adapter: AdapterSettings) -> None:
        encoders.check_adapter(adapter)
        if self.head == "classifier" and adapter.type != "full":
            raise InputError("objective: head classifier is trained with all weights; use adapter type full")
        if adapter.start is not None and not (adapter_folder(adapter.start) / PAIR_SETTINGS).is_file():
            raise InputError(f"adapter: '{adapter.start}' has no head for pairs to go on from")

    def train(self, job: TrainingJob) -> Trained:
        if not isinstance(job.model, CrossEncoderReranker):
            raise InputError(f"objective reranker trains models of provider cross-encoder, not {job.model.model}")
        if self.head == "pair" and job.training.max_length <= self.query_length:
            raise InputError(f"training: max_length {job.training.max_length} leaves no room for passages")
        rows = [row for row in cast("Sequence[RankingRow]", job.rows) if row.positives and row.negatives]
        weights = self._load(job)
        training = job.training
        steps = shared.step_count(len(rows), training)
        draw = encoders.drawn_rows(rows, each_positive=False, positives=2, negatives=self.passages - 1)
        plan = planned(rows, draw, steps, training.batch_size, training.seed)
        trainer = self._trainer(weights, rows, plan, steps, job)
        return shared.run_and_write(
            trainer, job, self._write, {"rows": len(rows), "rows_without_pair": len(job.rows) - len(rows)}
        )

    def _load(self, job: TrainingJob) -> Any:
        from sentence_transformers import CrossEncoder
        from torch import nn

        if self.head == "classifier":
            options = {"num_labels": 1, "max_length": job.training.max_length, "activation_fn": nn.Identity()}
            return encoders.load(job, "CrossEncoder", **options)
        from ragkit.models.pair_scorer import PairScorer

        encoder = encoders.load(job, "SentenceTransformer")
        encoders.add_adapter(encoder, job)
        network, tokenizer = encoder.transformers_model, encoder.tokenizer
        if job.adapter.start is not None:
            scorer = PairScorer.with_head(adapter_folder(job.adapter.start), network, tokenizer)
        else:
            scorer = PairScorer(
                network,
                tokenizer,
                query_length=self.query_length,
                passage_length=job.training.max_length - self.query_length,
                damping=self.damping,
            )
        return CrossEncoder(modules=[scorer], device=job.model.resolved_device, activation_fn=nn.Identity())

    def _trainer(
        self, weights: Any, rows: Sequence[RankingRow], plan: Sequence[Example], steps: int, job: TrainingJob
    ) -> Any:
        from datasets import Dataset
        from sentence_transformers.cross_encoder import (
            CrossEncoderTrainer,
            CrossEncoderTrainingArguments,
            losses,
        )

        micro = job.training.micro_batch or job.training.batch_size
        table = [self._listed(rows[example.row], example) for example in plan]
        options: dict[str, Any] = {
            "learning_rate_mapping": {self._head(weights): self.head_learning_rate or 10 * job.training.learning_rate}
        }
        if self.loss == "bce":
            table = [
                {"query": row["query"], "text": text, "label": label}
                for row in table
                for text, label in zip(row["texts"], row["label"], strict=True)
            ]
            options["per_device_train_batch_size"] = micro * self.passages
            loss: Any = losses.BinaryCrossEntropyLoss(weights)
        elif self.loss == "lambda":
            loss = losses.LambdaLoss(weights, mini_batch_size=-1)
        else:
            loss = losses.ListNetLoss(weights, mini_batch_size=-1)
        args = shared.arguments(CrossEncoderTrainingArguments, job, steps, **options)
        return encoders.build(CrossEncoderTrainer, weights, loss, Dataset.from_list(table), args)

    def _head(self, weights: Any) -> str:
        """Return a pattern of the names of the head's weights."""
        if self.head == "pair":
            return r"(^|\.)0\.(mix|importance|inner|outer)"
        return r"\.(classifier|score|pooler)\."

    def _listed(self, row: RankingRow, example: Example) -> dict[str, Any]:
        """Return a row of the trainer's data set, gold passages first."""
        texts = texts_of(row, example)[: self.passages]
        if len(texts) < self.passages:
            raise InputError(
                f"objective: a row has {len(row.negatives)} negatives, too few for {self.passages} passages: lower "
                f"passages (query: {row.query[:80]!r})"
            )
        gold = len(example.positives)
        if self.loss == "distil":
            label = [score / self.temperature for score in scores_of(row, example)[: self.passages]]
        else:
            sure = _SURE if self.loss == "list" else 1.0
            label = [sure] * gold + [0.0] * (len(texts) - gold)
        return {"query": row.query, "texts": texts, "label": label}

    def _write(self, trainer: Any, job: TrainingJob) -> None:
        weights = trainer.accelerator.unwrap_model(trainer.model)

        def save_full(folder: Path) -> None:
            if self.head == "pair":
                weights[0].save(str(folder))
            else:
                weights.save_pretrained(str(folder), create_model_card=False)

        further = weights[0].save_head if self.head == "pair" and job.adapter.type != "full" else None
        encoders.write(weights, job, save_full=save_full, further=further)
