"""What the objectives on sentence-transformers' trainers share: weights, adapters, batches, checkpoints, results."""

import json
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragkit.errors import InputError
from ragkit.models.adapters import WEIGHTS, adapter_folder
from ragkit.models.devices import check
from ragkit.models.embedded import locate, quiet_transformers
from ragkit.tuning.job import AdapterSettings, TrainingJob
from ragkit.tuning.objectives import trainer as shared
from ragkit.tuning.rows import RankingRow, Row

_TRAINED = "trained.safetensors"


@dataclass(frozen=True, slots=True)
class Example:
    """A row, or one of its positives, with the negatives of one step.

    Attributes:
        row: position of the row.
        positives: numbers of positives of the row.
        negatives: numbers of negatives of the row.
    """

    row: int
    positives: tuple[int, ...]
    negatives: tuple[int, ...]


def check_adapter(adapter: AdapterSettings) -> None:
    """Refuse adapter settings that encoders and rerankers cannot be trained with.

    Raises:
        InputError: a type that they do not have, or a start that is not there.
    """
    if adapter.type not in ("lora", "full"):
        raise InputError(f"adapter: encoders and rerankers are trained by type lora or full, not {adapter.type}")
    if adapter.start is not None and adapter.type == "full":
        raise InputError("adapter: 'start' is for adapters; type full starts from the model itself")
    if adapter.start is not None:
        adapter_folder(adapter.start)


def load(job: TrainingJob, kind: str, **options: Any) -> Any:
    """Return the weights of a job's model in float32, as a class of sentence_transformers, without dropout.

    Small steps are lost in bfloat16's eight bits; passes multiply in the model's number format all the same.
    """
    shared.require()
    import sentence_transformers
    import torch
    from transformers import set_seed

    check(job.model.device, job.model.resolved_device)
    set_seed(job.training.seed)
    path, revision = locate(job.model.model, job.model.revision)
    with quiet_transformers():
        weights = getattr(sentence_transformers, kind)(
            path,
            revision=revision,
            device=job.model.resolved_device,
            model_kwargs={"dtype": torch.float32},
            **options,
        )
    for module in weights.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # a micro batch shall change nothing but the memory
    return weights


def add_adapter(weights: Any, job: TrainingJob) -> None:
    """Put the adapter of a job beside the weights: a new one, or the one that the training goes on from."""
    settings = job.adapter
    if settings.type == "full":
        return
    if settings.start is not None:
        with quiet_transformers():
            weights.load_adapter(str(adapter_folder(settings.start)), is_trainable=True)
        return
    import peft

    weights.add_adapter(
        peft.LoraConfig(
            r=settings.r,
            lora_alpha=settings.alpha or 2 * settings.r,
            target_modules=settings.targets if isinstance(settings.targets, str) else list(settings.targets),
            task_type="FEATURE_EXTRACTION",
        )
    )


def drawn_rows(rows: Sequence[RankingRow], *, each_positive: bool, positives: int, negatives: int) -> "Draw":
    """Return what draws the examples of a pass over the rows.

    Args:
        rows: rows with at least one positive.
        each_positive: an example for each positive of a row, or one for the row.
        positives: the most positives of an example.
        negatives: the most negatives of an example, drawn from the row's.
    """

    def draw(source: random.Random) -> list[Example]:
        found = []
        for number, row in enumerate(rows):
            own = range(len(row.positives))
            groups = [(one,) for one in own] if each_positive else [source.sample(own, min(positives, len(own)))]
            for group in groups:
                chosen = source.sample(range(len(row.negatives)), min(negatives, len(row.negatives)))
                found.append(Example(number, tuple(group), tuple(chosen)))
        return found

    return draw


Draw = Callable[[random.Random], list[Example]]


def planned(
    rows: Sequence[RankingRow], draw: Draw, steps: int, size: int, seed: int, *, apart: bool = False
) -> list[Example]:
    """Return `steps` batches of examples, each of one set, all random by the seed.

    The plan is made beforehand, so that a resumed training sees the same batches as an uninterrupted one. Passages of
    one set are harder negatives for its questions than those of others. What is left of the sets makes mixed batches.

    Args:
        rows: the rows.
        draw: draws the examples of a pass.
        steps: batches to plan.
        size: examples of a batch.
        seed: of everything random.
        apart: no example's texts are relevant for another one of its batch, for losses with in-batch negatives.

    Raises:
        InputError: there are fewer rows that can stand in one batch than it needs.
    """
    source = random.Random(seed)  # noqa: S311 - not for secrets
    plan: list[Example] = []
    while len(plan) < steps * size:
        examples = draw(source)
        source.shuffle(examples)
        sets: dict[str, list[Example]] = {}
        for example in examples:
            sets.setdefault(set_of(rows[example.row]), []).append(example)
        batches: list[list[Example]] = []
        rest: list[Example] = []
        for own in sets.values():
            whole, left = _batches(rows, own, size, apart)
            batches += whole
            rest += left
        whole, _ = _batches(rows, rest, size, apart)
        batches += whole
        if not batches:
            raise InputError(
                f"training: the {len(rows)} rows do not fill one batch of {size}"
                f"{' with different queries and passages' if apart else ''}: lower batch_size"
            )
        source.shuffle(batches)
        plan += [example for batch in batches for example in batch]
    return plan[: steps * size]


def _batches(
    rows: Sequence[RankingRow], examples: Sequence[Example], size: int, apart: bool
) -> tuple[list[list[Example]], list[Example]]:
    """Return whole batches and what is left, each example in the first batch that can take it."""
    whole: list[list[Example]] = []
    waiting = list(examples)
    while waiting:
        batch: list[Example] = []
        later: list[Example] = []
        for example in waiting:
            fits = len(batch) < size and not (apart and any(_clash(rows, example, other) for other in batch))
            (batch if fits else later).append(example)
        if len(batch) < size:
            return whole, waiting
        whole.append(batch)
        waiting = later
    return whole, waiting


def _clash(rows: Sequence[RankingRow], one: Example, other: Example) -> bool:
    """Tell whether a text of one example is relevant for the other's query."""
    if one.row == other.row or rows[one.row].query == rows[other.row].query:
        return True
    return any(
        not relevant.isdisjoint(texts_of(rows[example.row], example))
        for relevant, example in ((set(rows[one.row].positives), other), (set(rows[other.row].positives), one))
    )


def set_of(row: Row) -> str:
    """Return the name of the set that a row is from."""
    return str(row.origin.get("set", ""))


def texts_of(row: RankingRow, example: Example) -> list[str]:
    """Return the texts of an example, positives first."""
    return [
        *(row.positives[number] for number in example.positives),
        *(row.negatives[number] for number in example.negatives),
    ]


def scores_of(row: RankingRow, example: Example) -> list[float]:
    """Return the teacher's scores of the texts of an example.

    Raises:
        InputError: the row has none.
    """
    if row.scores is None:
        raise InputError("objective: this loss learns from a teacher's scores, and the rows have none: name a teacher")
    ahead = len(row.positives)
    places = [*example.positives, *(ahead + number for number in example.negatives)]
    return [row.scores[place] for place in places]


def trainer_class(base: Any) -> Any:
    """Return a trainer of sentence-transformers that takes rows in their order and keeps only what is trained.

    Its own checkpoints hold the whole model with a card; these hold the trained weights, whatever modules there are.
    """
    from safetensors.torch import load_file, save_file
    from torch.utils.data import BatchSampler, SequentialSampler

    class InOrder(base):  # type: ignore[misc]
        def add_model_card_callback(self, *_: Any, **__: Any) -> None:
            """Write no card: ragkit's own says what matters."""

        def get_batch_sampler(self, dataset: Any, batch_size: int, drop_last: bool, **_: Any) -> Any:
            return BatchSampler(SequentialSampler(dataset), batch_size=batch_size, drop_last=drop_last)

        def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
            folder = Path(output_dir or self.args.output_dir)
            folder.mkdir(parents=True, exist_ok=True)
            save_file({name: value.detach().contiguous() for name, value in self._trained()}, folder / _TRAINED)

        def _load_from_checkpoint(self, checkpoint_path: str) -> None:
            found = load_file(Path(checkpoint_path) / _TRAINED)
            for name, value in self._trained():
                value.data.copy_(found[name])

        def _trained(self) -> list[tuple[str, Any]]:
            return [(name, value) for name, value in self.model.named_parameters() if value.requires_grad]

    return InOrder


def build(base: Any, weights: Any, loss: Any, dataset: Any, args: Any) -> Any:
    """Return a trainer of a class of sentence-transformers, made quietly."""
    with shared.silenced():
        return trainer_class(base)(model=weights, args=args, train_dataset=dataset, loss=loss)


def write(
    weights: Any,
    job: TrainingJob,
    *,
    save_full: Callable[[Path], None],
    further: Callable[[Path], None] | None = None,
    strength: float = 1.0,
) -> None:
    """Write a trained adapter, or the whole model, into the job's result.

    Args:
        weights: a model of sentence_transformers.
        job: the job.
        save_full: writes the whole model into a folder, if that was trained.
        further: writes what belongs to an adapter beside its weights.
        strength: share of the adapter's change that is kept.
    """
    import torch

    target = job.result.with_name(f".{job.result.name}.new")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    if job.adapter.type == "full":
        weights.to(getattr(torch, job.model.resolved_dtype))
        with quiet_transformers():
            save_full(target)
        (target / "README.md").unlink(missing_ok=True)  # the card comes from ragkit
    else:
        with quiet_transformers():
            weights.transformers_model.save_pretrained(str(target))
        shared.convert(target / WEIGHTS, getattr(torch, job.model.resolved_dtype))
        shared.write_base(target / "adapter_config.json", job.model)
        _weaken(target / "adapter_config.json", strength)
        if further is not None:
            further(target)
    shutil.rmtree(job.result, ignore_errors=True)
    target.replace(job.result)


def _weaken(file: Path, strength: float) -> None:
    """Scale the change that a LoRA makes, by its alpha."""
    config = json.loads(file.read_text(encoding="utf-8"))
    config["lora_alpha"] *= strength
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
