"""Training encoders to find passages: contrastively, or by the scores of a teacher."""

import json
import random
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

import numpy as np
from pydantic import Field

from ragkit.engine.cache import project_cache
from ragkit.engine.calls import Category
from ragkit.engine.registry import objectives
from ragkit.engine.tasks import run_tasks
from ragkit.errors import InputError
from ragkit.models.adapters import ENCODER
from ragkit.models.base import Encoder
from ragkit.models.sentence_transformers_models import SentenceTransformerEncoder
from ragkit.tuning.calls import values_of
from ragkit.tuning.job import AdapterSettings, Objective, Trained, TrainingJob
from ragkit.tuning.objectives import encoders
from ragkit.tuning.objectives import trainer as shared
from ragkit.tuning.objectives.encoders import Example, planned, scores_of, set_of, texts_of
from ragkit.tuning.rows import RankingRow, Row

Strength = Annotated[float, Field(gt=0, le=1)] | Literal["validation"]

_SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@objectives.register("retriever")
class Retriever(Objective):
    """Learn to embed queries near the passages that serve them.

    Losses:
      - `contrastive`: the positive against all other passages of the batch, its own hard negatives among them (cached
        multiple negatives ranking, Gao et al. 2021, arXiv 2101.06983).
      - `margin_mse`: the differences of a teacher's scores (Hofstätter et al. 2020, arXiv 2010.02666).
      - `kl`: a teacher's scores as a distribution over the passages of a row (Lin et al. 2020, arXiv 2010.11386).

    `texts: queries` trains the side of queries alone, contrastively. Passages keep the vectors that they have, so an
    index stays as it is, and each query is compared with every passage of its set's rows at the cost of embedding the
    query (query-side tuning, Lee et al. 2021, DensePhrases, arXiv 2012.12624).

    `strength` below 1 keeps a share of what was learned: part of the way between the base and the tuned weights is
    often better than either end, and loses less on other questions (WiSE-FT, Wortsman et al. 2022, arXiv 2109.01903).
    `strength: validation` takes the share with the best MRR on the validation rows, of which 0, the base as it is, is
    one: what few pairs teach is never worse than the base there.

    Texts are cut after `training.max_length` tokens, as encoders do.
    """

    rows: ClassVar[type[Row]] = RankingRow
    trains: ClassVar[Category] = "encoder"

    loss: Literal["contrastive", "margin_mse", "kl"] = Field(
        "contrastive", description="contrastive | margin_mse | kl (both need a teacher's scores)"
    )
    texts: Literal["all", "queries"] = Field("all", description="train both sides, or queries only")
    negatives: int = Field(4, ge=0, description="hard negatives of a row in a step, drawn anew each time")
    temperature: float = Field(0.05, gt=0, description="of the softmax over passages; margin_mse has none")
    strength: Strength = Field(
        1.0, description="share of an adapter's change that is kept; validation: the best share on validation rows"
    )

    def check(self, adapter: AdapterSettings) -> None:
        encoders.check_adapter(adapter)
        if self.texts == "queries" and self.loss != "contrastive":
            raise InputError(f"objective: 'texts: queries' goes with loss contrastive, not {self.loss}")
        if self.strength == "validation" and self.texts != "queries":
            raise InputError("objective: 'strength: validation' goes with 'texts: queries'")
        if adapter.type == "full" and (self.texts == "queries" or self.strength != 1):
            raise InputError("objective: 'texts: queries' and 'strength' are for adapters; use adapter type lora")
        if self.loss != "contrastive" and self.negatives == 0:
            raise InputError(f"objective: {self.loss} compares passages of a row; set negatives to 1 or more")

    def train(self, job: TrainingJob) -> Trained:
        encoder = encoder_of(job)
        rows = [row for row in cast("Sequence[RankingRow]", job.rows) if row.positives]
        bank = Bank(rows, encoder, job) if self.texts == "queries" else None
        weights = encoders.load(job, "SentenceTransformer")
        weights.max_seq_length = min(weights.max_seq_length or job.training.max_length, job.training.max_length)
        encoders.add_adapter(weights, job)
        plan = self._plan(rows, job)
        steps = len(plan) // job.training.batch_size
        trainer = self._trainer(weights, rows, plan, steps, bank, job)
        figures: dict[str, Any] = {"rows": len(rows), "rows_without_positive": len(job.rows) - len(rows)}

        def write(trainer: Any, job: TrainingJob) -> None:
            if self.strength != "validation":
                self._write(trainer, job, self.strength)
                return
            reached = self._reached(trainer.accelerator.unwrap_model(trainer.model), job)
            best = max(reached, key=lambda share: (reached[share], -share))
            figures.update(strength=best, validation_mrr={f"{share:g}": mrr for share, mrr in reached.items()})
            self._write(trainer, job, best)

        return shared.run_and_write(trainer, job, write, figures)

    def _reached(self, weights: Any, job: TrainingJob) -> dict[float, float]:
        """Return the MRR of each share of the change on the validation rows, among the passages of their set.

        Raises:
            InputError: there are none.
        """
        rows = [row for row in cast("Sequence[RankingRow]", job.validation) if row.positives]
        if not rows:
            raise InputError("objective: 'strength: validation' needs validation rows: raise training.watched")
        encoder = encoder_of(job)
        bank = Bank(rows, encoder, job)
        asked = [encoder.query_prefix + row.query for row in rows]
        layers = [module for module in weights.modules() if isinstance(getattr(module, "scaling", None), dict)]
        scales = [dict(layer.scaling) for layer in layers]
        reached = {}
        for share in _SHARES:
            for layer, scale in zip(layers, scales, strict=True):
                layer.scaling.update({name: share * value for name, value in scale.items()})
            reached[share] = bank.mrr(weights.encode(asked, convert_to_tensor=True, show_progress_bar=False))
        for layer, scale in zip(layers, scales, strict=True):
            layer.scaling.update(scale)
        return reached

    def _plan(self, rows: Sequence[RankingRow], job: TrainingJob) -> list[Example]:
        training, by_row = job.training, self.texts == "queries"
        draw = encoders.drawn_rows(rows, each_positive=not by_row, positives=1, negatives=self.negatives)
        count = len(rows) if by_row else sum(len(row.positives) for row in rows)
        steps = shared.step_count(count, training)
        contrastive = self.loss == "contrastive" and not by_row
        return planned(rows, draw, steps, training.batch_size, training.seed, apart=contrastive)

    def _trainer(
        self,
        weights: Any,
        rows: Sequence[RankingRow],
        plan: Sequence[Example],
        steps: int,
        bank: "Bank | None",
        job: TrainingJob,
    ) -> Any:
        from datasets import Dataset
        from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
        from sentence_transformers.sentence_transformer import losses

        whole: dict[str, Any] = {}
        if bank is not None:
            prefix = encoder_of(job).query_prefix
            table = [{"query": prefix + rows[example.row].query, "label": example.row} for example in plan]
            loss: Any = query_loss(weights, bank, self.temperature)
        else:
            table = self._table(rows, plan, job)
            if self.loss == "contrastive":
                micro = job.training.micro_batch or job.training.batch_size
                loss = losses.CachedMultipleNegativesRankingLoss(
                    weights, scale=1 / self.temperature, mini_batch_size=micro
                )
                # The loss itself works in small parts: all passages of the batch are negatives, whatever their size.
                whole = {"per_device_train_batch_size": job.training.batch_size, "gradient_accumulation_steps": 1}
            elif self.loss == "kl":
                loss = losses.DistillKLDivLoss(weights, similarity_fct=_pair_cosine, temperature=self.temperature)
            else:
                loss = losses.MarginMSELoss(weights, similarity_fct=_pair_cosine)
        args = shared.arguments(SentenceTransformerTrainingArguments, job, steps, **whole)
        return encoders.build(SentenceTransformerTrainer, weights, loss, Dataset.from_list(table), args)

    def _table(self, rows: Sequence[RankingRow], plan: Sequence[Example], job: TrainingJob) -> list[dict[str, Any]]:
        """Return a row of the trainer's data set for each example; all have the same number of passages."""
        encoder = encoder_of(job)
        pools: dict[str, dict[str, None]] = {}
        for row in rows:
            pools.setdefault(set_of(row), {}).update(dict.fromkeys(row.positives))
        table = []
        for place, example in enumerate(plan):
            row = rows[example.row]
            texts = texts_of(row, example)
            found: dict[str, Any] = {"query": encoder.query_prefix + row.query}
            if self.loss != "contrastive":
                if len(texts) <= self.negatives:
                    raise InputError(
                        f"objective: a row has {len(row.negatives)} negatives, {self.loss} takes {self.negatives} of "
                        f"each: lower negatives (query: {row.query[:80]!r})"
                    )
                found["label"] = scores_of(row, example)
            if missing := 1 + self.negatives - len(texts):
                texts += _others(texts, row, list(pools[set_of(row)]), missing, place)
            found |= {f"text_{number}": encoder.passage_prefix + text for number, text in enumerate(texts)}
            table.append(found)
        return table

    def _write(self, trainer: Any, job: TrainingJob, strength: float) -> None:
        weights = trainer.accelerator.unwrap_model(trainer.model)

        def save_full(folder: Path) -> None:
            weights.save_pretrained(str(folder), create_model_card=False)

        def say(folder: Path) -> None:
            (folder / ENCODER).write_text(json.dumps({"texts": self.texts}) + "\n", encoding="utf-8")

        encoders.write(weights, job, save_full=save_full, further=say, strength=strength)


def encoder_of(job: TrainingJob) -> SentenceTransformerEncoder:
    """Return the model of a job.

    Raises:
        InputError: it is another kind of encoder.
    """
    if not isinstance(job.model, SentenceTransformerEncoder):
        raise InputError(f"objective retriever trains models of provider sentence-transformers, not {job.model.model}")
    return job.model


class Bank:
    """The passages of all rows with the vectors that they keep, and which of them serve which row.

    Attributes:
        vectors: of the passages of each set, shape (passages, dimension), length 1.
        positives: positions of each row's positives in its set.
        sets: set of each row.
    """

    def __init__(self, rows: Sequence[RankingRow], encoder: Encoder, job: TrainingJob) -> None:
        self.sets = [set_of(row) for row in rows]
        positions: dict[str, dict[str, int]] = {}
        for name, row in zip(self.sets, rows, strict=True):
            known = positions.setdefault(name, {})
            for text in (*row.positives, *row.negatives):
                known.setdefault(text, len(known))
        self.positives = [
            [positions[name][text] for text in row.positives] for name, row in zip(self.sets, rows, strict=True)
        ]
        self.vectors: Mapping[str, Any] = {
            name: _embedded(encoder, list(known), job) for name, known in positions.items()
        }

    def mrr(self, queries: Any) -> float:
        """Return the mean over the rows of the reciprocal rank of the best positive.

        Args:
            queries: the vector of each row's query, shape (rows, dimension).
        """
        from torch.nn import functional

        found = 0.0
        for row, query in enumerate(functional.normalize(queries.float().cpu(), dim=-1)):
            scores = self.vectors[self.sets[row]] @ query
            found += 1 / (1 + int((scores > scores[self.positives[row]].max()).sum()))
        return found / len(self.sets)


def _embedded(encoder: Encoder, texts: Sequence[str], job: TrainingJob) -> Any:
    """Return the vectors that passages have in an index, from the call cache where they were asked for before.

    Raises:
        RagkitError: the encoder failed on one.
    """
    import torch
    from torch.nn import functional

    with project_cache() as cache:
        tasks = [partial(encoder.embed, text, "passage") for text in texts]
        outcomes = run_tasks(tasks, name="passages", cache=cache, on_progress=job.on_progress)
    vectors = values_of(outcomes, "objective: a passage cannot be embedded")
    return functional.normalize(torch.from_numpy(np.stack(vectors)), dim=-1)


def query_loss(weights: Any, bank: Bank, temperature: float) -> Any:
    """Return the loss of queries against a bank: each positive against all passages of the set that do not serve."""
    import torch
    from torch.nn import functional

    class QueryLoss(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = weights

        def forward(self, sentence_features: Any, labels: Any) -> Any:
            (features,) = sentence_features
            queries = functional.normalize(self.model(features)["sentence_embedding"].float(), dim=-1)
            losses = []
            for query, row in zip(queries, labels.tolist(), strict=True):
                scores = bank.vectors[bank.sets[row]].to(query.device) @ query / temperature
                own = torch.tensor(bank.positives[row], device=query.device)
                others = torch.logsumexp(scores.index_fill(0, own, -torch.inf), dim=0)
                losses.append(functional.softplus(others - scores[own]).mean())
            return torch.stack(losses).mean()

    return QueryLoss()


def _pair_cosine(one: Any, other: Any) -> Any:
    from torch.nn import functional

    return functional.cosine_similarity(one, other, dim=-1)


def _others(texts: Sequence[str], row: RankingRow, pool: Sequence[str], missing: int, place: int) -> list[str]:
    """Return passages of other rows in the place of negatives that a row lacks."""
    known = {*texts, *row.positives}
    others = [text for text in pool if text not in known]
    if len(others) < missing:
        raise InputError(
            f"objective: {missing} negatives are missing in a row, and its set has too few other passages: "
            f"lower negatives (query: {row.query[:80]!r})"
        )
    return random.Random(place).sample(others, missing)  # noqa: S311 - not for secrets
