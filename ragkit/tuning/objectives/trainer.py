"""What all objectives on transformers' Trainer share: weights, adapters, arguments, order of rows, checkpoints."""

import json
import logging
import random
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragkit.errors import InputError, need
from ragkit.models.adapters import WEIGHTS, adapter_folder
from ragkit.models.devices import check
from ragkit.models.embedded import locate, quiet_transformers
from ragkit.models.local_weights import LocalWeights
from ragkit.models.tokenization import PromptTokenizer
from ragkit.tuning.job import AdapterSettings, Trained, TrainingJob, TrainingSettings, TrainingStep

_BATCHES_SORTED_TOGETHER = 16
_LOG_EVERY = 5


@dataclass(frozen=True, slots=True)
class Loaded:
    """A generator that is ready to be trained.

    Attributes:
        weights: a PEFT model with the adapter that is trained, in the number format of the weights; with adapter type
            `full` the model of transformers itself.
        tokenizer: that prompts are given to exactly as in answering.
        end: token that ends a completion.
    """

    weights: Any
    tokenizer: PromptTokenizer
    end: int


def require() -> None:
    """See that the packages for training are there.

    Raises:
        MissingPackageError: says how to install them.
    """
    for package in ("trl", "peft", "datasets"):
        need(package, "'ragkit[tuning]'", "ragkit tune")


def load(job: TrainingJob) -> Loaded:
    """Load the weights of a job's model, with the adapter that the training begins with.

    Raises:
        InputError: there is no such model, or the adapter does not fit it.
        MissingPackageError: an extra is not installed.
    """
    require()
    from transformers import AutoTokenizer

    model = job.model
    check(model.device, model.resolved_device)
    path, revision = locate(model.model, model.revision)
    with quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(path, revision=revision)
        weights = _weights(path, revision, job)
        adapted = with_adapter(weights, job)
    prompts = PromptTokenizer(tokenizer, model.model, getattr(model, "chat", None))
    return Loaded(adapted, prompts, tokenizer.eos_token_id)


def _weights(path: str, revision: str | None, job: TrainingJob) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    model, kind = job.model, job.adapter.type
    options: dict[str, Any] = {}
    if kind == "qlora":
        if not model.resolved_device.startswith("cuda"):
            raise InputError(
                f"adapter type qlora needs a CUDA device, the model is on '{model.resolved_device}': use type lora"
            )
        need("bitsandbytes", "bitsandbytes", "adapter type 'qlora'")
        from transformers import BitsAndBytesConfig

        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
        )
    # All weights are trained in float32: steps of a small learning rate are lost in bfloat16's eight bits.
    dtype = "float32" if kind == "full" else model.resolved_dtype
    weights = AutoModelForCausalLM.from_pretrained(path, revision=revision, dtype=getattr(torch, dtype), **options)
    return weights if kind == "qlora" else weights.to(model.resolved_device)


def with_adapter(weights: Any, job: TrainingJob) -> Any:
    """Return the weights with the adapter to train, all in one number format.

    Float32 adapters beside bfloat16 weights take a quarter longer on a CPU; the optimiser keeps float32 copies.
    """
    import peft
    import torch

    settings = job.adapter
    if settings.type == "full":
        if settings.start is not None:
            raise InputError("adapter: 'start' is for adapters; type full starts from the model itself")
        return weights
    torch.manual_seed(job.training.seed)  # a new adapter begins at random
    if settings.start is not None:
        folder = str(adapter_folder(settings.start))
        return peft.PeftModel.from_pretrained(weights, folder, is_trainable=True, autocast_adapter_dtype=False)
    if settings.type == "prompt_tuning":
        config: Any = peft.PromptTuningConfig(num_virtual_tokens=settings.tokens, task_type="CAUSAL_LM")
    else:
        config = lora(settings, "CAUSAL_LM")
    return peft.get_peft_model(weights, config, autocast_adapter_dtype=False)


def lora(settings: AdapterSettings, task: str, **further: Any) -> Any:
    """Return PEFT's configuration of a new LoRA."""
    import peft

    targets = settings.targets if isinstance(settings.targets, str) else list(settings.targets)
    scale = settings.alpha or 2 * settings.r
    return peft.LoraConfig(r=settings.r, lora_alpha=scale, target_modules=targets, task_type=task, **further)


def optimiser(weights: Any, settings: TrainingSettings) -> tuple[Any, None]:
    """Return the optimiser of a training, as trainers take it: AdamW that never steps in half precision."""
    import torch

    from ragkit.tuning.objectives.master_weights import MasterWeightsAdamW

    trained = [param for param in weights.parameters() if param.requires_grad]
    half = any(param.dtype != torch.float32 for param in trained)
    kind = MasterWeightsAdamW if half else torch.optim.AdamW
    return kind(trained, lr=settings.learning_rate, weight_decay=settings.weight_decay), None


def step_count(rows: int, settings: TrainingSettings) -> int:
    """Return the number of optimiser steps."""
    return settings.steps or max(1, round(settings.epochs * rows / settings.batch_size))


def planned(lengths: Sequence[int], steps: int, settings: TrainingSettings) -> list[int]:
    """Return which row comes when: `steps` batches, rows of like length together, all random by the seed.

    The plan is made beforehand, so that a resumed training sees the same rows as an uninterrupted one, and batches are
    padded little: a batch costs its longest row times its size.

    Args:
        lengths: tokens of each row.
        steps: batches to plan.
        settings: batch size and seed.
    """
    draw = random.Random(settings.seed)  # noqa: S311 - not for secrets
    size = settings.batch_size
    plan: list[int] = []
    while len(plan) < steps * size:
        order = list(range(len(lengths)))
        draw.shuffle(order)
        batches = []
        for start in range(0, len(order), size * _BATCHES_SORTED_TOGETHER):
            chunk = sorted(order[start : start + size * _BATCHES_SORTED_TOGETHER], key=lengths.__getitem__)
            batches += [chunk[first : first + size] for first in range(0, len(chunk), size)]
        whole = [batch for batch in batches if len(batch) == size]
        rest = [row for batch in batches if len(batch) < size for row in batch]
        draw.shuffle(whole)
        plan += [row for batch in whole for row in batch] + rest
    return plan[: steps * size]


def arguments(config_class: Any, job: TrainingJob, steps: int, **further: Any) -> Any:
    """Return a trainer's arguments: what the settings say, quiet, in an order that is planned.

    Args:
        config_class: of transformers or TRL.
        job: the job.
        steps: optimiser steps.
        further: arguments of this objective, which win.
    """
    settings, device, dtype = job.training, job.model.resolved_device, job.model.resolved_dtype
    mixed = job.adapter.type in ("full", "qlora")  # weights or adapters in float32, passes in half precision
    micro = settings.micro_batch or settings.batch_size
    if settings.batch_size % micro:
        raise InputError(f"training: batch_size {settings.batch_size} is no multiple of micro_batch {micro}")
    values: dict[str, Any] = {
        "output_dir": str(job.checkpoints),
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": settings.batch_size // micro,
        "max_steps": steps,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": {"constant": "constant_with_warmup"}.get(settings.schedule, settings.schedule),
        "warmup_steps": round(settings.warmup * steps),
        "weight_decay": settings.weight_decay,
        "seed": settings.seed,
        "data_seed": settings.seed,
        "bf16": mixed and dtype == "bfloat16",
        "fp16": mixed and dtype == "float16",
        "use_cpu": device == "cpu",
        "gradient_checkpointing": False,
        "train_sampling_strategy": "sequential",
        "save_strategy": "steps",
        "save_steps": settings.save_every,
        "save_total_limit": 2,
        "logging_steps": min(_LOG_EVERY, steps),
        "logging_first_step": True,
        "disable_tqdm": True,
        "report_to": "none",
        "dataloader_pin_memory": device.startswith("cuda"),
    }
    with silenced():
        return config_class(**values | further)


def reference(job: TrainingJob) -> dict[str, Any]:
    """Return the arguments by which TRL loads the model as it was, which it needs where no adapter can be taken off."""
    if job.adapter.type != "full":
        return {}
    return {"model_init_kwargs": {"revision": locate(job.model.model, job.model.revision)[1]}}


def watching(job: TrainingJob, rows: Sequence[Any]) -> dict[str, Any]:
    """Return the arguments that have validation rows watched at every checkpoint, if there are any."""
    return {"eval_strategy": "steps", "eval_steps": job.training.save_every} if rows else {}


def run(trainer: Any, job: TrainingJob, **figures: Any) -> Trained:
    """Train with a trainer, from the last whole checkpoint if the job is a resumed one, and keep the result.

    Args:
        trainer: of transformers or TRL, built with `arguments`.
        job: the job.
        figures: what else is worth keeping of this training.
    """
    return run_and_write(trainer, job, save, figures)


def run_and_write(
    trainer: Any, job: TrainingJob, write: Callable[[Any, TrainingJob], None], figures: dict[str, Any]
) -> Trained:
    """Do what `run` does, with another function than `save` that writes the result."""
    from transformers import PrinterCallback, ProgressCallback

    for noisy in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(noisy)
    trainer.add_callback(_callback(job))
    last = last_checkpoint(job.checkpoints) if job.resume else None
    begun, busy = time.monotonic(), time.process_time()
    with silenced():
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
    took = {"seconds": round(time.monotonic() - begun, 1), "cpu_seconds": round(time.process_time() - busy, 1)}
    if last is not None:
        took["resumed_at_step"] = int(last.name.rpartition("-")[2])
    write(trainer, job)
    logged = [row for row in trainer.state.log_history if "loss" in row or "reward" in row]
    trainable = sum(part.numel() for part in trainer.model.parameters() if part.requires_grad)
    kept = {"first": _numbers(logged[0]), "last": _numbers(logged[-1])} if logged else {}
    return Trained(trainer.state.global_step, {"trained_parameters": trainable, **took, **kept, **figures})


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint that was written to its end, None if there is none."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)
    return next((path for path in found if _is_whole(path)), None)


def _is_whole(checkpoint: Path) -> bool:
    try:
        # The trainer writes this file last.
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def save(trainer: Any, job: TrainingJob) -> None:
    """Write what a trainer has trained; see `keep`."""
    keep(trainer.accelerator.unwrap_model(trainer.model), trainer.processing_class, job)


def keep(model: Any, tokenizer: Any, job: TrainingJob) -> None:
    """Write the trained adapter, or the whole model with its tokenizer, in the number format of the model."""
    import torch

    target = job.result.with_name(f".{job.result.name}.new")
    shutil.rmtree(target, ignore_errors=True)
    dtype = getattr(torch, job.model.resolved_dtype)
    if job.adapter.type == "full":
        model.to(dtype).save_pretrained(str(target))
        tokenizer.save_pretrained(str(target))
    else:
        # Some trainers keep a second adapter, the one that the training started from.
        model.save_pretrained(str(target), selected_adapters=["default"])
        convert(target / WEIGHTS, dtype)
        (target / "README.md").unlink(missing_ok=True)  # PEFT's says nothing; the card comes from ragkit
        write_base(target / "adapter_config.json", job.model)
    shutil.rmtree(job.result, ignore_errors=True)
    target.replace(job.result)


def convert(file: Path, dtype: Any) -> None:
    """Store an adapter in the number format of the weights that it stands beside, in which it is used."""
    from safetensors.torch import load_file, save_file

    save_file({name: value.to(dtype).contiguous() for name, value in sorted(load_file(file).items())}, file)


def write_base(file: Path, model: LocalWeights) -> None:
    """Name in an adapter's configuration the model as the pipeline does, not where its weights lie on this machine."""
    config = json.loads(file.read_text(encoding="utf-8"))
    config |= {"base_model_name_or_path": model.model, "revision": model.revision, "inference_mode": True}
    if isinstance(config.get("target_modules"), list):
        config["target_modules"].sort()  # PEFT keeps a set, whose order changes from process to process
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


@contextmanager
def silenced() -> Iterator[None]:
    """Keep the remarks of the training libraries from the user: ragkit says itself what matters."""
    loggers = [logging.getLogger(name) for name in ("transformers", "trl", "accelerate", "peft", "datasets")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _callback(job: TrainingJob) -> Any:
    from transformers import TrainerCallback

    from ragkit.tuning.objectives.master_weights import MasterWeightsAdamW

    class Tell(TrainerCallback):  # type: ignore[misc]
        """Tells the job of each logged step, and keeps the log beside the checkpoints."""

        def on_train_begin(
            self, args: Any, state: Any, control: Any, model: Any = None, optimizer: Any = None, **_: Any
        ) -> None:
            inner = getattr(optimizer, "optimizer", optimizer)
            if isinstance(inner, MasterWeightsAdamW):
                inner.attach([param for param in model.parameters() if param.requires_grad])
            self._begin, self._first = time.monotonic(), state.global_step
            self._now, self._before = 0.0, None if state.global_step else 0.0

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
            metrics = _numbers(logs or {})
            if "train_runtime" in metrics:
                return  # the trainer's summary of all steps
            self._now = metrics.get("num_tokens", self._now)
            if self._before is None:
                self._before = self._now  # of an earlier start
            log = [_numbers(row) for row in state.log_history]
            (job.folder / "log.json").write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")
            job.on_step(
                TrainingStep(
                    state.global_step,
                    state.max_steps,
                    metrics,
                    round(self._now - self._before),
                    time.monotonic() - self._begin,
                    state.global_step - self._first,
                )
            )

    return Tell()


def _numbers(row: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in row.items() if isinstance(value, (int, float))}
