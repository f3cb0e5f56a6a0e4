"""Supervised fine-tuning of image-text models: completions of prompts with pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

from ragkit.documents.page_image import PageImage
from ragkit.engine.registry import objectives
from ragkit.errors import InputError
from ragkit.models.devices import check
from ragkit.models.embedded import locate, quiet_transformers
from ragkit.models.transformers_vision import TransformersVisionModel
from ragkit.models.vision_processor import load_processor
from ragkit.models.vision_prompts import VisionPrompts
from ragkit.stages.shown import Capped
from ragkit.tuning.job import AdapterSettings, Objective, Trained, TrainingJob
from ragkit.tuning.objectives import trainer as shared
from ragkit.tuning.rows import Row, RowPicture, SeenRow, SftRow

_IGNORED = -100
_OF_TOKENS = ("input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids", "labels")
"""Inputs with a value for each token; all others are of pictures."""
_BY_ROW = ("pixel_values", "pixel_attention_mask")
"""Inputs of pictures row by row, for models that do not have the patches of all pictures one after the other."""
_PICTURE = 500
"""Tokens that a picture counts for when rows of like length are put together."""


@objectives.register("sft_vision")
class SftVision(Objective):
    """Learn completions of prompts with pictures, for models of provider `transformers_vision`.

    Prompts are given to the model's processor exactly as in answering, so the pictures stand where the prompt has them.
    The loss counts the tokens of the completion and the end token. Rows longer than `max_length`, pictures included,
    are left out and counted, never cut.

    Source: Chia et al. 2025, M-LongDoc, arXiv 2411.06176, section 4 (LoRA on Qwen2-VL); here pictures stand between the
    texts, where the authors' rows have all of them in front.
    """

    rows: ClassVar[type[Row]] = SftRow

    def check(self, adapter: AdapterSettings) -> None:
        if adapter.type != "lora":
            raise InputError(f"objective: sft_vision trains adapters of type lora, not {adapter.type}")

    def train(self, job: TrainingJob) -> Trained:
        if not isinstance(job.model, TransformersVisionModel):
            raise InputError("objective: sft_vision trains models of provider transformers_vision; use sft for text")
        shared.require()
        from transformers import Trainer, TrainingArguments

        encoder, weights = _load(job)
        rows, left_out = encoder.fitting(cast("Sequence[SftRow]", job.rows), job.training.max_length)
        watched, _ = encoder.fitting(cast("Sequence[SftRow]", job.validation), job.training.max_length)
        if not rows:
            raise InputError(f"training: all {left_out} rows are longer than max_length {job.training.max_length}")
        steps = shared.step_count(len(rows), job.training)
        order = shared.planned([_length(row) for row in rows], steps, job.training)
        args = shared.arguments(
            TrainingArguments, job, steps, remove_unused_columns=False, **shared.watching(job, watched)
        )
        trainer = Trainer(
            model=weights,
            args=args,
            train_dataset=[rows[position] for position in order],
            eval_dataset=watched or None,
            data_collator=encoder.batch,
            processing_class=encoder.prompts.processor.tokenizer,
            optimizers=shared.optimiser(weights, job.training),
        )
        return shared.run(trainer, job, rows=len(rows), rows_too_long=left_out)


def _load(job: TrainingJob) -> tuple["RowEncoder", Any]:
    import torch
    from transformers import AutoModelForImageTextToText

    model = job.model
    check(model.device, model.resolved_device)
    path, revision = locate(model.model, model.revision)
    dtype = getattr(torch, model.resolved_dtype)
    with quiet_transformers():
        prompts = VisionPrompts(load_processor(path, revision, model.model), model.model)
        weights = AutoModelForImageTextToText.from_pretrained(path, revision=revision, dtype=dtype)
        adapted = shared.with_adapter(weights.to(model.resolved_device), job)
    return RowEncoder(prompts, dtype), adapted


class RowEncoder:
    """Rows as a model is trained on them.

    Args:
        prompts: the model's processor.
        dtype: the number format of pictures.
    """

    def __init__(self, prompts: VisionPrompts, dtype: Any) -> None:
        self.prompts = prompts
        self._dtype = dtype

    def fitting(self, rows: Sequence[SftRow], longest: int) -> tuple[list[SftRow], int]:
        """Return the rows that are not too long, and how many were."""
        kept = [row for row in rows if self.batch([row])["input_ids"].shape[1] <= longest]
        return kept, len(rows) - len(kept)

    def batch(self, rows: Sequence[SftRow]) -> dict[str, Any]:
        """Return the inputs of a batch, padded on the right, with the labels of the completions.

        Processors want all rows of a batch with pictures or none, so a batch of both is made of one row at a time.
        """
        import torch

        parts = [self._encoded(row) for row in rows]
        longest = max(part["input_ids"].shape[1] for part in parts)
        merged: dict[str, Any] = {}
        fill = {"input_ids": self.prompts.processor.tokenizer.pad_token_id, "labels": _IGNORED}
        part_names = dict.fromkeys(name for part in parts for name in part)
        for name in part_names:
            if name in _OF_TOKENS:
                own = [_padded(part[name], longest, fill.get(name, 0)) for part in parts]
            elif name in _BY_ROW and "image_grid_thw" not in part_names:
                own = _equally_many([part.get(name) for part in parts])
            else:
                own = [part[name] for part in parts if name in part]
            merged[name] = torch.cat(own)
        return merged

    def _encoded(self, row: SftRow) -> dict[str, Any]:
        end = self.prompts.processor.tokenizer.eos_token
        text = self.prompts.render(row.prompt)
        pictures = [[picture_of(one) for one in row.pictures] if isinstance(row, SeenRow) else []]
        whole = self.prompts.encode([text + self.prompts.harmless(row.completion) + end], pictures)
        asked = self.prompts.encode([text], pictures)["input_ids"].shape[1]
        labels = whole["input_ids"].clone()
        labels[:, :asked] = _IGNORED
        inputs = {name: value for name, value in whole.items() if hasattr(value, "shape")}
        inputs = {name: value.to(self._dtype) if value.is_floating_point() else value for name, value in inputs.items()}
        return inputs | {"labels": labels}


def picture_of(row: RowPicture) -> Capped:
    """Return the picture that a row names."""
    return Capped(PageImage(Path(row.file), Path(row.pdf), row.page, row.box, row.dpi), row.side)


def _padded(value: Any, length: int, filler: int) -> Any:
    import torch

    return torch.nn.functional.pad(value, (0, length - value.shape[1]), value=filler)


def _equally_many(values: Sequence[Any]) -> list[Any]:
    """Return the pictures of rows, shape (1, pictures, ...), filled up with empty ones, which models leave out.

    Args:
        values: of each row, None for one without pictures.
    """
    import torch

    known = [value for value in values if value is not None]
    most = max(value.shape[1] for value in known)
    empty = known[0].new_zeros(1, most, *known[0].shape[2:])
    return [
        empty if value is None else torch.cat([value, empty[:, : most - value.shape[1]]], dim=1) for value in values
    ]


def _length(row: SftRow) -> int:
    turns = [row.prompt] if isinstance(row.prompt, str) else [turn["content"] for turn in row.prompt]
    pictures = len(row.pictures) if isinstance(row, SeenRow) else 0
    return sum(map(len, turns)) // 4 + _PICTURE * pictures
