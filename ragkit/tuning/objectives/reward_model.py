"""Training a reward model on pairs of a better and a worse completion."""

from typing import Any, ClassVar

from pydantic import Field
from typing_extensions import override

from ragkit.engine.registry import objectives
from ragkit.errors import InputError
from ragkit.models.devices import check
from ragkit.models.embedded import locate, quiet_transformers
from ragkit.models.reward_model import HEAD, load_with_head, pad_token
from ragkit.models.tokenization import PromptTokenizer
from ragkit.tuning.job import AdapterSettings, Objective, Trained, TrainingJob
from ragkit.tuning.objectives import trainer as shared
from ragkit.tuning.objectives.preference import in_planned_order, prepared, tokenise
from ragkit.tuning.rows import PreferenceRow, Row


@objectives.register("reward_model")
class RewardModelObjective(Objective):
    """Grade the preferred completion higher than the other one: a head beside the language model learns a number.

    `-log sigmoid(grade(chosen) - grade(rejected))`, read at the end token. The result is used as a model of a pipeline,
    `{provider: reward-model, model: ..., adapter: ...}`, and as a reward, `{type: learned, model: ...}`.

    Source: Bradley and Terry 1952; Ouyang et al. 2022, arXiv 2203.02155; `center` Eisenstein et al. 2023, arXiv
    2312.09244.
    """

    rows: ClassVar[type[Row]] = PreferenceRow
    gated: ClassVar[bool] = False

    center: float = Field(0.01, ge=0, description="weight of a pull of the grades towards a mean of 0; 0: none")

    @override
    def check(self, adapter: AdapterSettings) -> None:
        if adapter.type not in ("lora", "full"):
            raise InputError(f"objective: a reward model is trained with adapter type lora or full, not {adapter.type}")
        if adapter.start is not None:
            raise InputError("objective: a reward model starts from the model itself; leave out adapter: start")

    @override
    def train(self, job: TrainingJob) -> Trained:
        self.check(job.adapter)
        loaded = _load(job)
        pairs, left_out = tokenise(job.rows, loaded, job.training.max_length)
        watched, _ = tokenise(job.validation, loaded, job.training.max_length)
        steps = shared.step_count(len(pairs), job.training)
        from datasets import Dataset
        from trl import RewardConfig, RewardTrainer

        args = shared.arguments(
            RewardConfig,
            job,
            steps,
            max_length=None,
            center_rewards_coefficient=self.center or None,
            **shared.watching(job, watched),
        )
        trainer = prepared(RewardTrainer)(
            model=loaded.weights,
            args=args,
            train_dataset=Dataset.from_list(list(map(_joined, in_planned_order(pairs, steps, job)))),
            eval_dataset=Dataset.from_list(list(map(_joined, watched))) if watched else None,
            processing_class=loaded.tokenizer.tokenizer,
            optimizers=shared.optimiser(loaded.weights, job.training),
        )
        return shared.run(trainer, job, rows=len(pairs), rows_too_long=left_out)


def _joined(pair: dict[str, Any]) -> dict[str, list[int]]:
    return {name: pair["prompt_ids"] + pair[name] for name in ("chosen_ids", "rejected_ids")}


def _load(job: TrainingJob) -> shared.Loaded:
    """Load the weights of a job's model with a new head."""
    shared.require()
    import peft
    from transformers import AutoTokenizer, set_seed

    model, settings = job.model, job.adapter
    check(model.device, model.resolved_device)
    path, revision = locate(model.model, model.revision)
    with quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(path, revision=revision)
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(pad_token(tokenizer.eos_token_id))
    set_seed(job.training.seed)  # head and adapter begin at random
    dtype = "float32" if settings.type == "full" else model.resolved_dtype
    weights = load_with_head(path, revision, dtype, fresh=True).to(model.resolved_device)
    if settings.type == "lora":
        config = shared.lora(settings, "SEQ_CLS", modules_to_save=[HEAD])
        weights = peft.get_peft_model(weights, config, autocast_adapter_dtype=False)
    prompts = PromptTokenizer(tokenizer, model.model, getattr(model, "chat", None))
    return shared.Loaded(weights, prompts, tokenizer.eos_token_id)
