"""SFT on a tiny random model: what is learned, that nothing else is, and that a killed training goes on as if not."""

import dataclasses
import shutil

import pytest
import torch
from tiny_generators import END, load_alone, tiny_model
from tiny_jobs import result, tiny_job

from ragkit.errors import InputError
from ragkit.models.transformers_lm import TransformersModel
from ragkit.tuning.job import AdapterSettings, TrainingSettings
from ragkit.tuning.objectives import trainer as shared
from ragkit.tuning.objectives.sft import Sft, half_of_each_block, tokenise
from ragkit.tuning.objectives.trainer import last_checkpoint, planned
from ragkit.tuning.rows import SftRow


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("base"))


def job(base, folder, **changes):
    rows = [SftRow(prompt=f"{word} is", completion=f" {word[::-1]}") for word in ("abc", "defg", "hi", "jklmn")]
    return tiny_job(base, folder, **{"rows": rows} | changes)


@pytest.mark.parametrize("loss", ["nll", "dft", "asft"])
def test_a_lora_learns_the_completions_and_the_pipeline_can_use_it(base, tmp_path, loss):
    steps = []
    training = TrainingSettings(steps=40, batch_size=4, learning_rate=0.02)
    done = Sft(loss=loss).train(job(base, tmp_path, training=training, on_step=steps.append))
    assert done.steps == 40
    accuracy = [done.figures[when]["mean_token_accuracy"] for when in ("first", "last")]
    assert accuracy[0] < 0.2 and accuracy[1] > (0.9 if loss == "nll" else 0.3)
    assert steps[-1].step == 40 and steps[-1].tokens > 0
    tuned = TransformersModel(model=str(base), adapter=str(tmp_path / "adapter"), dtype="float32", device="cpu")
    from ragkit.engine.tasks import run_tasks

    (outcome,) = run_tasks([lambda: tuned.generate("defg is", max_new_tokens=8)])
    if loss == "nll":
        assert outcome.value.text == " gfed" and outcome.value.finish == "stop"


def test_the_loss_counts_the_completion_and_its_end_only(base, tmp_path):
    logged = []
    done = Sft().train(
        job(
            base,
            tmp_path,
            rows=[SftRow(prompt="ab", completion="cd"), SftRow(prompt="a longer prompt", completion="x")],
            training=TrainingSettings(steps=1, batch_size=2, learning_rate=1e-9),
            on_step=logged.append,
        )
    )
    model = load_alone(base)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    total, count = 0.0, 0
    for prompt, completion in (("ab", "cd"), ("a longer prompt", "x")):
        first, rest = tokenizer.encode(prompt), [*tokenizer.encode(completion), tokenizer.convert_tokens_to_ids(END)]
        logits = model(torch.tensor([first + rest])).logits[0, len(first) - 1 : -1]
        total += torch.nn.functional.cross_entropy(logits, torch.tensor(rest), reduction="sum").item()
        count += len(rest)
    assert done.figures["first"]["loss"] == pytest.approx(total / count, abs=1e-4)


def test_labels_are_of_the_completion_whatever_the_prompt_ends_with(base, tmp_path):
    loaded = shared.load(job(base, tmp_path))
    rows, _ = tokenise([SftRow(prompt=f"list 1, 2{end}", completion="2") for end in "ab"], loaded, 64)
    prompts = [len(loaded.tokenizer.encode(f"list 1, 2{end}")) for end in "ab"]
    assert rows[0]["input_ids"] != rows[1]["input_ids"] and rows[0]["labels"] == rows[1]["labels"]
    for row, length in zip(rows, prompts, strict=True):
        assert row["labels"][:length] == [-100] * length and row["labels"][length:] == row["input_ids"][length:]


def test_asft_at_the_start_is_dft_because_nothing_has_moved_yet(base, tmp_path):
    first = {}
    for loss in ("dft", "asft"):
        training = TrainingSettings(steps=1, batch_size=4)
        done = Sft(loss=loss).train(job(base, tmp_path / loss, training=training))
        first[loss] = done.figures["first"]["loss"]
    assert first["asft"] == pytest.approx(first["dft"], abs=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_killed_training_goes_on_to_the_same_bytes(base, tmp_path, dtype):
    class Killed(BaseException):
        pass

    def kill(step):
        if step.step == 5:
            raise Killed

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    model = TransformersModel(model=str(base), dtype=dtype, device="cpu")
    Sft().train(job(base, whole, model=model))
    with pytest.raises(Killed):
        Sft().train(job(base, killed, on_step=kill, model=model))
    assert last_checkpoint(killed / "checkpoints").name == "checkpoint-4"
    (killed / "checkpoints" / "checkpoint-5").mkdir()  # one that was being written
    Sft().train(job(base, killed, resume=True, model=model))
    assert result(killed) == result(whole)


def test_the_same_seed_gives_the_same_adapter_and_another_one_another(base, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        training = TrainingSettings(steps=2, batch_size=2, seed=seed)
        Sft().train(job(base, tmp_path / name, training=training))
    assert result(tmp_path / "a") == result(tmp_path / "b") != result(tmp_path / "c")
    assert (tmp_path / "a/adapter/adapter_config.json").read_text() == (
        tmp_path / "b/adapter/adapter_config.json"
    ).read_text()


def test_a_micro_batch_changes_nothing_but_the_memory(base, tmp_path):
    for name, micro in (("whole", None), ("parts", 1)):
        training = TrainingSettings(steps=3, batch_size=4, micro_batch=micro, learning_rate=0.01)
        done = Sft().train(job(base, tmp_path / name, training=training))
        (tmp_path / f"{name}.txt").write_text(str(done.figures["last"]["loss"]))
    assert float((tmp_path / "whole.txt").read_text()) == pytest.approx(
        float((tmp_path / "parts.txt").read_text()), rel=1e-3
    )


def test_training_goes_on_from_an_adapter(base, tmp_path):
    first = Sft().train(
        job(base, tmp_path / "one", training=TrainingSettings(steps=30, batch_size=4, learning_rate=0.02))
    )
    start = AdapterSettings(start=str(tmp_path / "one" / "adapter"))
    second = Sft().train(job(base, tmp_path / "two", adapter=start, training=TrainingSettings(steps=1, batch_size=4)))
    assert second.figures["first"]["loss"] < 0.7 * first.figures["first"]["loss"]


def test_prompt_tuning_and_full_training(base, tmp_path):
    training = TrainingSettings(steps=40, batch_size=4, learning_rate=0.05)
    soft = Sft().train(
        job(base, tmp_path / "soft", adapter=AdapterSettings(type="prompt_tuning", tokens=4), training=training)
    )
    assert soft.figures["last"]["loss"] < soft.figures["first"]["loss"]
    assert soft.figures["trained_parameters"] == 4 * 32
    TransformersModel(model=str(base), adapter=str(tmp_path / "soft" / "adapter")).open()
    training = TrainingSettings(steps=20, batch_size=4, learning_rate=0.01)
    full = Sft().train(job(base, tmp_path / "full", adapter=AdapterSettings(type="full"), training=training))
    assert full.figures["last"]["loss"] < 0.5 * full.figures["first"]["loss"]
    tuned = load_alone(tmp_path / "full" / "adapter")
    assert not torch.equal(
        tuned.model.layers[0].mlp.up_proj.weight, load_alone(base).model.layers[0].mlp.up_proj.weight
    )


def test_half_fine_tuning_moves_half_of_each_block_and_no_more(base, tmp_path):
    model = load_alone(base)
    half_of_each_block(model, 0)
    for block in model.model.layers:
        moving = [name for name, part in block.named_parameters() if part.requires_grad]
        assert sum("self_attn" in name for name in moving) == 2
        assert sum("norm" in name for name in moving) == 1
        assert sum("mlp" in name for name in moving) in (1, 2)
    assert sum("mlp" in n for b in model.model.layers for n, p in b.named_parameters() if p.requires_grad) == 3
    training = TrainingSettings(steps=3, batch_size=4, learning_rate=0.01)
    Sft(half=True).train(job(base, tmp_path, adapter=AdapterSettings(type="full"), training=training))
    before, after = load_alone(base).state_dict(), load_alone(tmp_path / "adapter").state_dict()
    moved = {name for name in before if "layers" in name and not torch.equal(before[name], after[name])}
    expected = {name for name, part in model.named_parameters() if part.requires_grad and "layers" in name}
    assert moved == expected


def test_rows_that_are_too_long_are_left_out_and_counted(base, tmp_path):
    rows = [SftRow(prompt="a" * 100, completion="b"), SftRow(prompt="a", completion="b")]
    training = TrainingSettings(steps=1, batch_size=1, max_length=20)
    done = Sft().train(job(base, tmp_path, rows=rows, training=training))
    assert (done.figures["rows"], done.figures["rows_too_long"]) == (1, 1)
    with pytest.raises(InputError, match="all 1 rows are longer than max_length 20"):
        Sft().train(job(base, tmp_path, rows=rows[:1], training=training))


def test_settings_that_do_not_go_together_are_refused(base, tmp_path):
    with pytest.raises(InputError, match="'half' masks the model's own weights"):
        Sft(half=True).check(AdapterSettings())
    with pytest.raises(InputError, match="asft compares"):
        Sft(loss="asft").check(AdapterSettings(type="full"))
    with pytest.raises(InputError, match="qlora needs a CUDA device"):
        Sft().train(job(base, tmp_path, adapter=AdapterSettings(type="qlora")))
    with pytest.raises(InputError, match="no multiple of micro_batch"):
        Sft().train(job(base, tmp_path, training=TrainingSettings(steps=1, batch_size=4, micro_batch=3)))


def test_validation_rows_are_watched(base, tmp_path):
    steps = []
    watched = [SftRow(prompt="abc is", completion=" cba")]
    Sft().train(job(base, tmp_path, validation=watched, on_step=steps.append))
    assert any("eval_loss" in step.metrics for step in steps)


def test_the_plan_has_every_row_once_an_epoch_and_like_lengths_together():
    lengths = [10 * (n % 7) + n for n in range(64)]
    plan = planned(lengths, 16, TrainingSettings(batch_size=4))
    assert sorted(plan) == list(range(64))
    padded = sum(4 * max(lengths[row] for row in plan[first : first + 4]) for first in range(0, 64, 4))
    assert padded < 1.15 * sum(lengths)
    twice = planned(lengths, 32, TrainingSettings(batch_size=4))
    assert sorted(twice[64:]) == list(range(64)) and twice[:64] == plan and twice[64:] != plan
    assert len(planned(lengths[:6], 3, TrainingSettings(batch_size=4))) == 12


def test_the_last_checkpoint_is_the_last_whole_one(tmp_path):
    assert last_checkpoint(tmp_path) is None
    for step in (2, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
    (tmp_path / "checkpoint-2" / "trainer_state.json").write_text("{}")
    (tmp_path / "checkpoint-10" / "trainer_state.json").write_text('{"half')
    assert last_checkpoint(tmp_path).name == "checkpoint-2"
    shutil.rmtree(tmp_path / "checkpoint-2")
    assert last_checkpoint(tmp_path) is None


def test_a_job_is_plain_data(base, tmp_path):
    assert dataclasses.replace(job(base, tmp_path), resume=True).resume
