"""Learning from pairs of a better and a worse completion: DPO and its relatives, and GenARM's reward model."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, cast

from pydantic import Field
from typing_extensions import override

from ragkit.engine.registry import objectives
from ragkit.errors import InputError
from ragkit.tuning.job import Objective, Trained, TrainingJob
from ragkit.tuning.objectives import trainer as shared
from ragkit.tuning.rows import PreferenceRow, Row

Tokens = dict[str, Any]

_DPO = {
    "dpo": "sigmoid",
    "dpo_norm": "sigmoid_norm",
    "ipo": "ipo",
    "hinge": "hinge",
    "robust": "robust",
    "apo_zero": "apo_zero",
    "apo_down": "apo_down",
}


@objectives.register("dpo")
class Dpo(Objective):
    """Make the preferred completion more probable than the other one, compared with the model as it was.

    The model as it was is the one without the adapter, or with the adapter that the training starts from. `kto` sees
    each completion for itself, as good or bad; it takes 2 rows or more in one pass.

    Source: Rafailov et al. 2023 (DPO), arXiv 2305.18290; `dpo_norm` divides by the number of tokens; `ipo` Azar et al.
    2023, arXiv 2310.12036; `kto` Ethayarajh et al. 2024, arXiv 2402.01306; `hinge` Zhao et al. 2023 (SLiC), arXiv
    2305.10425; `robust` Chowdhury et al. 2024, arXiv 2403.00409; `apo_zero` and `apo_down` D'Oosterlinck et al. 2024,
    arXiv 2408.06266. The losses are TRL's.
    """

    rows: ClassVar[type[Row]] = PreferenceRow

    loss: Literal["dpo", "dpo_norm", "ipo", "kto", "hinge", "robust", "apo_zero", "apo_down"] = Field(
        "dpo", description="dpo | dpo_norm | ipo | kto | hinge | robust | apo_zero | apo_down"
    )
    beta: float = Field(0.1, gt=0, description="how much it costs to move away from the model as it was")
    flipped: float = Field(
        0.1, ge=0, lt=0.5, description="share of pairs that `robust` takes to be the wrong way round"
    )

    @override
    def train(self, job: TrainingJob) -> Trained:
        return _train_kto(self, job) if self.loss == "kto" else _train_dpo(job, _DPO[self.loss], self.beta, self)


@objectives.register("genarm")
class Genarm(Objective):
    """Train an autoregressive reward model: a language model whose log-probabilities are the reward.

    `-log sigmoid(beta * (log p(chosen) - log p(rejected)))`, with nothing that it is compared with. The result guides
    another model while it writes: `guide: [{adapter: ..., weight: 1.0}]`.

    Source: Xu et al. 2025 (GenARM), arXiv 2410.08193; the loss is DPO's with a reference that is always 0.
    """

    rows: ClassVar[type[Row]] = PreferenceRow
    gated: ClassVar[bool] = False

    beta: float = Field(0.05, gt=0, description="what a difference of log-probabilities counts")

    @override
    def train(self, job: TrainingJob) -> Trained:
        return _train_dpo(job, "sigmoid", self.beta, None)


def tokenise(rows: Sequence[Row], loaded: shared.Loaded, longest: int) -> tuple[list[Tokens], int]:
    """Return the token ids of each pair whose texts are not too long, and how many were.

    Raises:
        InputError: all rows are too long.
    """
    done: list[Tokens] = []
    for row in cast("Sequence[PreferenceRow]", rows):
        prompt = loaded.tokenizer.encode(row.prompt)
        chosen, rejected = ([*loaded.tokenizer.encode_text(text), loaded.end] for text in (row.chosen, row.rejected))
        if len(prompt) + max(len(chosen), len(rejected)) <= longest:
            done.append({"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected})
    if rows and not done:
        raise InputError(f"training: all {len(rows)} rows are longer than max_length {longest}: raise it")
    return done, len(rows) - len(done)


def in_planned_order(rows: Sequence[Tokens], steps: int, job: TrainingJob) -> list[Tokens]:
    """Return the rows as they come in training."""
    lengths = [sum(map(len, (row["prompt_ids"] * 2, row["chosen_ids"], row["rejected_ids"]))) for row in rows]
    return [rows[position] for position in shared.planned(lengths, steps, job.training)]


def _train_dpo(job: TrainingJob, loss: str, beta: float, settings: Dpo | None) -> Trained:
    """Train with TRL's DPO trainer; without settings, there is no model to compare with."""
    loaded = shared.load(job)
    rows, left_out = tokenise(job.rows, loaded, job.training.max_length)
    watched, _ = tokenise(job.validation, loaded, job.training.max_length)
    steps = shared.step_count(len(rows), job.training)
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    if settings is None:
        rows, watched = (
            [row | {"ref_chosen_logps": 0.0, "ref_rejected_logps": 0.0} for row in part] for part in (rows, watched)
        )
    args = shared.arguments(
        DPOConfig,
        job,
        steps,
        max_length=None,
        loss_type=[loss],
        beta=beta,
        label_smoothing=settings.flipped if settings and loss == "robust" else 0.0,
        **shared.reference(job),
        **shared.watching(job, watched),
    )
    trainer = prepared(DPOTrainer)(
        model=loaded.weights,
        args=args,
        train_dataset=Dataset.from_list(in_planned_order(rows, steps, job)),
        eval_dataset=Dataset.from_list(watched) if watched else None,
        processing_class=loaded.tokenizer.tokenizer,
        optimizers=shared.optimiser(loaded.weights, job.training),
    )
    trainer.precompute_ref_logps = settings is None  # the rows hold the reference's log-probabilities
    return shared.run(trainer, job, rows=len(rows), rows_too_long=left_out)


def _train_kto(settings: Dpo, job: TrainingJob) -> Trained:
    micro = job.training.micro_batch or job.training.batch_size
    if micro < 2:
        raise InputError("objective: kto compares the rows of a pass with each other: set micro_batch to 2 or more")
    loaded = shared.load(job)
    rows, left_out = tokenise(job.rows, loaded, job.training.max_length)
    watched, _ = tokenise(job.validation, loaded, job.training.max_length)
    watched = watched[: len(watched) - len(watched) % micro]
    steps = shared.step_count(len(rows), job.training)
    from datasets import Dataset
    from trl import KTOConfig, KTOTrainer

    args = shared.arguments(
        KTOConfig,
        job,
        steps,
        max_length=None,
        loss_type="kto",
        beta=settings.beta,
        per_device_train_batch_size=2 * micro,
        per_device_eval_batch_size=2 * micro,
        **shared.reference(job),
        **shared.watching(job, watched),
    )
    trainer = prepared(KTOTrainer)(
        model=loaded.weights,
        args=args,
        train_dataset=Dataset.from_list(unpaired(in_planned_order(rows, steps, job), micro)),
        eval_dataset=Dataset.from_list(unpaired(watched, micro)) if watched else None,
        processing_class=loaded.tokenizer.tokenizer,
        optimizers=shared.optimiser(loaded.weights, job.training),
    )
    return shared.run(trainer, job, rows=len(rows), rows_too_long=left_out)


def unpaired(rows: Sequence[Tokens], micro: int) -> list[Tokens]:
    """Return the completions of pairs one by one, those of each pass together.

    KTO estimates how far the model has moved from completions of other prompts; each gets the one before it in the
    pass. Good ones stand before bad ones, so that it is never one of the same prompt.
    """
    done: list[Tokens] = []
    for start in range(0, len(rows), micro):
        pairs = rows[start : start + micro]
        single = [
            {"prompt_ids": pair["prompt_ids"], "completion_ids": pair[name], "label": name == "chosen_ids"}
            for name in ("chosen_ids", "rejected_ids")
            for pair in pairs
        ]
        others = [single[-1], *single[:-1]]
        done += [
            row | {"KL_completion_ids": other["completion_ids"]} for row, other in zip(single, others, strict=True)
        ]
    return done


def prepared(base: Any) -> Any:
    """Return a trainer of TRL that takes rows which are tokenised and in their order already, and says nothing."""

    class Prepared(base):  # type: ignore[misc]
        def __init__(self, **options: Any) -> None:
            with shared.silenced():
                super().__init__(**options)

        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

    return Prepared
