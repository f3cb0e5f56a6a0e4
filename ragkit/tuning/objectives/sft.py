"""Supervised fine-tuning on completions, with the losses NLL, DFT and ASFT, and half fine-tuning."""

import random
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, cast

from pydantic import Field

from ragkit.engine.registry import objectives
from ragkit.errors import InputError
from ragkit.tuning.job import AdapterSettings, Objective, Trained, TrainingJob
from ragkit.tuning.objectives import trainer as shared
from ragkit.tuning.rows import Row, SeenRow, SftRow

_IGNORED = -100


@objectives.register("sft")
class Sft(Objective):
    """Learn completions: the loss counts their tokens and the end token, never those of the prompt.

    Losses, per token with the probability p of the target:
      - `nll`: -log p.
      - `dft`: -log p times p, held constant (Wu et al. 2025, arXiv 2508.05629).
      - `asft`: `dft` plus `anchor` times the forward KL divergence from the base model (Zhu et al. 2025, arXiv
        2509.23753); costs a second pass without the adapter.

    `half` trains half of the weights of each block only (HFT, Hui et al. 2024, arXiv 2404.18466), and needs
    `adapter: {type: full}`.
    """

    rows: ClassVar[type[Row]] = SftRow

    loss: Literal["nll", "dft", "asft"] = Field("nll", description="nll | dft | asft")
    anchor: float = Field(0.05, gt=0, description="weight of asft's divergence from the base model")
    half: bool = Field(False, description="train a random half of each block's weights (HFT)")

    def check(self, adapter: AdapterSettings) -> None:
        if self.half and adapter.type != "full":
            raise InputError(
                f"objective: 'half' masks the model's own weights, which adapter type {adapter.type} freezes"
            )
        if self.loss == "asft" and adapter.type == "full":
            raise InputError("objective: asft compares with the model without its adapter; use adapter type lora")

    def train(self, job: TrainingJob) -> Trained:
        loaded = shared.load(job)
        if self.half:
            half_of_each_block(loaded.weights, job.training.seed)
        rows, left_out = tokenise(cast("Sequence[SftRow]", job.rows), loaded, job.training.max_length)
        watched, _ = tokenise(cast("Sequence[SftRow]", job.validation), loaded, job.training.max_length)
        steps = shared.step_count(len(rows), job.training)
        order = shared.planned([len(row["input_ids"]) for row in rows], steps, job.training)
        from datasets import Dataset
        from trl import SFTConfig

        args = shared.arguments(
            SFTConfig,
            job,
            steps,
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
            **shared.watching(job, watched),
        )
        trainer = _trainer_class()(
            self,
            model=loaded.weights,
            args=args,
            train_dataset=Dataset.from_list([rows[position] for position in order]),
            eval_dataset=Dataset.from_list(watched) if watched else None,
            processing_class=loaded.tokenizer.tokenizer,
            optimizers=shared.optimiser(loaded.weights, job.training),
        )
        return shared.run(trainer, job, rows=len(rows), rows_too_long=left_out)


def tokenise(rows: Sequence[SftRow], loaded: shared.Loaded, longest: int) -> tuple[list[dict[str, list[int]]], int]:
    """Return token ids and labels of each row that is not too long, and how many were.

    Raises:
        InputError: all rows are too long, or hold pictures.
    """
    done = []
    for row in rows:
        if isinstance(row, SeenRow):
            raise InputError(
                "training: the rows hold pictures: use the objective sft_vision, or context.pages show: text"
            )
        prompt = loaded.tokenizer.encode(row.prompt)
        completion = [*loaded.tokenizer.encode_text(row.completion), loaded.end]
        if len(prompt) + len(completion) <= longest:
            labels = [_IGNORED] * len(prompt) + completion
            done.append({"input_ids": prompt + completion, "labels": labels})
    if rows and not done:
        raise InputError(f"training: all {len(rows)} rows are longer than max_length {longest}: raise it")
    return done, len(rows) - len(done)


def half_of_each_block(model: Any, seed: int) -> None:
    """Freeze half of the weights of each transformer block: two of four attention matrices, of the three others two in
    one half of the blocks and one in the rest, half of the norms. Embeddings and head are always trained.

    Raises:
        InputError: the model's blocks are not built as Llama's are.

    Source: Hui et al. 2024, "HFT: Half Fine-Tuning for Large Language Models", section 3.
    """
    draw = random.Random(seed)  # noqa: S311 - not for secrets
    blocks = getattr(getattr(model, "model", None), "layers", None)
    if blocks is None:
        raise InputError("objective: 'half' knows models with blocks like Llama's only")
    generous = set(draw.sample(range(len(blocks)), len(blocks) // 2))
    for number, block in enumerate(blocks):
        parts = dict(block.named_parameters())
        attention = [name for name in parts if "self_attn" in name and name.endswith("proj.weight")]
        others = [name for name in parts if "mlp" in name and name.endswith("proj.weight")]
        norms = [name for name in parts if "norm" in name]
        kept = draw.sample(attention, len(attention) // 2)
        kept += draw.sample(others, min(len(others), 2 if number in generous else 1))
        kept += draw.sample(norms, len(norms) // 2)
        for name, part in parts.items():
            part.requires_grad_(name in kept)


def _trainer_class() -> Any:
    """Return TRL's trainer with a loss that is computed at the completions' tokens only.

    TRL's own loss scores all positions where there is no GPU: on a CPU that doubles the time of a step.
    """
    from trl import SFTTrainer

    class CompletionTrainer(SFTTrainer):  # type: ignore[misc]
        def __init__(self, objective: Sft, **options: Any) -> None:
            with shared.silenced():
                super().__init__(**options)
            self._objective = objective

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            import torch

            labels = inputs["labels"][:, 1:]
            wanted = labels != _IGNORED
            targets = labels[wanted]
            logits = _logits(model, inputs, wanted)
            logprobs = torch.log_softmax(logits, dim=-1)
            chosen = logprobs.gather(-1, targets[:, None])[:, 0]
            losses = -chosen
            if self._objective.loss != "nll":
                losses = losses * chosen.exp().detach()
            if self._objective.loss == "asft":
                with torch.no_grad(), model.disable_adapter():
                    base = torch.log_softmax(_logits(model, inputs, wanted), dim=-1)
                divergence = torch.nn.functional.kl_div(logprobs, base, log_target=True, reduction="none").sum(-1)
                losses = losses + self._objective.anchor * divergence
            count = len(targets) if num_items_in_batch is None else num_items_in_batch
            mode = "train" if self.model.training else "eval"
            if mode == "train":
                self._total_train_tokens += int(inputs["attention_mask"].sum())
            self._metrics[mode]["mean_token_accuracy"].append((logits.argmax(-1) == targets).float().mean().item())
            self._metrics[mode]["num_tokens"] = [self._total_train_tokens]
            loss = losses.sum() / count
            return (loss, None) if return_outputs else loss

    return CompletionTrainer


def _logits(model: Any, inputs: Any, wanted: Any) -> Any:
    """Return the scores at the wanted positions, shape (positions, tokens), float32.

    Args:
        model: with or without an adapter.
        inputs: `input_ids` and `attention_mask`, shape (rows, tokens).
        wanted: positions that predict a token of a completion, shape (rows, tokens - 1).
    """
    given = {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"], "use_cache": False}
    if getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False):
        scores = model(**given).logits[:, -wanted.shape[1] - 1 : -1]  # the soft prompt stands before them
        return scores[wanted].float()
    network = model.get_base_model() if hasattr(model, "get_base_model") else model
    hidden = network.base_model(**given).last_hidden_state[:, :-1]
    return network.get_output_embeddings()(hidden[wanted]).float()
