import asyncio
import json

import pymupdf
import pytest
from tiny_vision import tiny_idefics3, tiny_qwen2_vl

from ragkit.errors import InputError
from ragkit.models import TransformersModel, TransformersVisionModel
from ragkit.models.base import slot
from ragkit.tuning.job import AdapterSettings, TrainingJob, TrainingSettings
from ragkit.tuning.objectives import Sft, SftVision
from ragkit.tuning.objectives.vision import _load, picture_of
from ragkit.tuning.rows import RowPicture, SeenRow, SftRow, write_rows

KINDS = {"qwen2_vl": tiny_qwen2_vl, "idefics3": tiny_idefics3}


@pytest.fixture(scope="module", params=KINDS)
def model(request, tmp_path_factory):
    folder = KINDS[request.param](tmp_path_factory.mktemp(request.param))
    return TransformersVisionModel(model=str(folder), dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Rows with two pictures, with one, and with none."""
    folder = tmp_path_factory.mktemp("pages")
    with pymupdf.open() as pdf:
        page = pdf.new_page(width=200, height=100)
        page.draw_rect((10, 10, 90, 90), fill=(1, 0, 0))
        pdf.save(folder / "page.pdf")

    def picture(number, box):
        file = str(folder / f"{number}.png")
        return RowPicture(file=file, pdf=str(folder / "page.pdf"), page=1, box=box, dpi=72, side=60)

    whole, part = picture(1, None), picture(2, (10.0, 10.0, 60.0, 60.0))
    return [
        SeenRow(prompt=f"a {slot(0)} b {slot(1)} c", completion="red", pictures=(whole, part)),
        SeenRow(prompt=f"a {slot(0)}", completion="red and wide", pictures=(part,)),
        SftRow(prompt="what?", completion="unanswerable"),
    ]


def job(model, rows, folder, **training):
    settings = TrainingSettings(steps=4, batch_size=3, learning_rate=1e-2, watched=0, max_length=512, **training)
    adapter = AdapterSettings(r=4)
    return TrainingJob(folder, model, rows, (), adapter, settings, False, lambda _: None, lambda *_: None)


def test_only_completions_and_their_end_are_learnt(model, rows, tmp_path):
    encoder, _ = _load(job(model, rows, tmp_path))
    batch = encoder.batch(rows)
    tokenizer = encoder.prompts.processor.tokenizer
    for row, labels, ids in zip(rows, batch["labels"], batch["input_ids"], strict=True):
        wanted = labels != -100
        assert (labels[wanted] == ids[wanted]).all()
        assert tokenizer.decode(labels[wanted]) == row.completion + tokenizer.eos_token
    pictures = batch["image_grid_thw"] if "image_grid_thw" in batch else batch["pixel_values"]
    assert len(pictures) == 3  # three pictures in a row, or the pictures of three rows


def test_an_adapter_is_learnt_and_used_in_answering(model, rows, tmp_path):
    done = SftVision().train(job(model, rows, tmp_path))
    assert done.steps == 4 and done.figures["rows"] == 3
    assert done.figures["last"]["loss"] < done.figures["first"]["loss"]
    again = tmp_path / "again"
    SftVision().train(job(model, rows, again))
    weights = [(folder / "adapter/adapter_model.safetensors").read_bytes() for folder in (tmp_path, again)]
    assert weights[0] == weights[1]
    config = json.loads((tmp_path / "adapter/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == model.model
    tuned = TransformersVisionModel(model=model.model, dtype="float32", device="cpu", adapter=str(tmp_path / "adapter"))
    see = [picture_of(one) for one in rows[0].pictures]
    base, better = (asyncio.run(one.generate(rows[0].prompt, max_new_tokens=4, pictures=see)) for one in (model, tuned))
    assert base.logprob != better.logprob
    assert tuned.fingerprint() != model.fingerprint()


def test_rows_that_are_too_long_are_counted(model, rows, tmp_path):
    long = SftRow(prompt="word " * 400, completion="x")
    done = SftVision().train(job(model, [*rows, long], tmp_path))
    assert done.figures["rows_too_long"] == 1


def test_objectives_refuse_what_is_not_theirs(rows, tmp_path):
    text = TransformersModel(model="embedded:smollm2-135m-instruct")
    with pytest.raises(InputError, match="transformers_vision"):
        SftVision().train(job(text, rows, tmp_path))
    with pytest.raises(InputError, match="rows hold pictures"):
        from ragkit.tuning.objectives.sft import tokenise

        tokenise(rows, None, 10)
    with pytest.raises(InputError, match="of type lora"):
        SftVision().check(AdapterSettings(type="prompt_tuning"))
    assert Sft().rows is SftRow


def test_rows_with_pictures_are_kept_as_json(rows, tmp_path):
    write_rows(tmp_path / "rows.jsonl", rows)
    first = json.loads((tmp_path / "rows.jsonl").read_text().splitlines()[0])
    assert [one["box"] for one in first["pictures"]] == [None, [10.0, 10.0, 60.0, 60.0]]
