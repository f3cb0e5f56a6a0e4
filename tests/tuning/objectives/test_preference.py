"""DPO and its relatives on a tiny random model."""

import math

import pytest
import torch
from tiny_generators import END, load_alone, tiny_model
from tiny_jobs import result, tiny_job, train_killed

from ragkit.errors import InputError
from ragkit.models.transformers_lm import TransformersModel
from ragkit.tuning.job import AdapterSettings, TrainingSettings
from ragkit.tuning.objectives.preference import Dpo, Genarm, unpaired
from ragkit.tuning.objectives.sft import Sft
from ragkit.tuning.rows import PreferenceRow, SftRow

PAIRS = [
    PreferenceRow(prompt=f"{word} is", chosen=f" {word[::-1]}", rejected=f" {word}")
    for word in ("abc", "defg", "hi", "jklmn")
]
AT_THE_START = {
    "dpo": math.log(2),
    "dpo_norm": math.log(2),
    "ipo": 25.0,  # (0 - 1 / (2 beta))^2
    "kto": 0.5,
    "hinge": 1.0,
    "robust": math.log(2),
    "apo_zero": 1.0,
    "apo_down": 1.0,
}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("base"))


def logprob(model, prompt, completion):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model.config.name_or_path)
    first, rest = tokenizer.encode(prompt), [*tokenizer.encode(completion), tokenizer.convert_tokens_to_ids(END)]
    with torch.no_grad():
        scores = model(torch.tensor([first + rest])).logits[0, len(first) - 1 : -1].log_softmax(-1)
    return scores.gather(-1, torch.tensor(rest)[:, None]).sum().item()


@pytest.mark.parametrize("loss", AT_THE_START)
def test_the_loss_at_the_start_and_a_growing_margin(base, tmp_path, loss):
    training = TrainingSettings(steps=6, batch_size=4, learning_rate=0.03)
    done = Dpo(loss=loss).train(tiny_job(base, tmp_path, PAIRS, training=training))
    assert done.figures["first"]["loss"] == pytest.approx(AT_THE_START[loss], abs=1e-4)
    assert done.figures["first"]["rewards/margins"] == pytest.approx(0, abs=1e-5)
    assert done.figures["last"]["rewards/margins"] > 0.2
    assert done.figures["last"]["loss"] < done.figures["first"]["loss"]


def test_the_preferred_completion_becomes_the_more_probable_one(base, tmp_path):
    training = TrainingSettings(steps=30, batch_size=4, learning_rate=0.02)
    Dpo().train(tiny_job(base, tmp_path, PAIRS, training=training))
    from peft import PeftModel

    before, after = load_alone(base), PeftModel.from_pretrained(load_alone(base), str(tmp_path / "adapter"))
    for pair in PAIRS:
        moved = [logprob(after, pair.prompt, t) - logprob(before, pair.prompt, t) for t in (pair.chosen, pair.rejected)]
        assert moved[0] > moved[1] + 1


def test_genarm_compares_with_nothing(base, tmp_path):
    done = Genarm(beta=0.05).train(
        tiny_job(base, tmp_path, PAIRS, training=TrainingSettings(steps=1, batch_size=4, learning_rate=1e-9))
    )
    model = load_alone(base)
    gaps = [logprob(model, pair.prompt, pair.chosen) - logprob(model, pair.prompt, pair.rejected) for pair in PAIRS]
    expected = -sum(math.log(1 / (1 + math.exp(-0.05 * gap))) for gap in gaps) / len(gaps)
    assert done.figures["first"]["loss"] == pytest.approx(expected, abs=1e-4)


def test_what_genarm_trains_guides_another_model(base, tmp_path):
    training = TrainingSettings(steps=40, batch_size=4, learning_rate=0.02)
    Genarm(beta=1.0).train(tiny_job(base, tmp_path, PAIRS, training=training))
    from ragkit.engine.tasks import run_tasks

    def chosen(**settings):
        model = TransformersModel(model=str(base), dtype="float32", device="cpu", **settings)
        tasks = [lambda pair=pair: model.choose(pair.prompt, [pair.chosen, pair.rejected]) for pair in PAIRS]
        return sum(outcome.value.label == pair.chosen for outcome, pair in zip(run_tasks(tasks), PAIRS, strict=True))

    assert chosen(guide=[{"adapter": str(tmp_path / "adapter"), "weight": 1.0}]) == len(PAIRS) > chosen()


@pytest.mark.parametrize("objective", [Dpo(), Dpo(loss="kto"), Genarm()], ids=["dpo", "kto", "genarm"])
def test_a_killed_training_goes_on_to_the_same_bytes(base, tmp_path, objective):
    objective.train(tiny_job(base, tmp_path / "whole", PAIRS))
    train_killed(objective, base, tmp_path / "killed", PAIRS)
    assert result(tmp_path / "killed") == result(tmp_path / "whole")


def test_from_an_adapter_the_reference_is_that_adapter_and_only_the_new_one_is_kept(base, tmp_path):
    first = [SftRow(prompt=pair.prompt, completion=pair.chosen) for pair in PAIRS]
    Sft().train(tiny_job(base, tmp_path / "sft", first, training=TrainingSettings(steps=20, batch_size=4)))
    start = AdapterSettings(start=str(tmp_path / "sft" / "adapter"))
    done = Dpo().train(tiny_job(base, tmp_path / "whole", PAIRS, adapter=start))
    assert done.figures["first"]["loss"] == pytest.approx(math.log(2), abs=1e-4)
    kept = sorted(path.name for path in (tmp_path / "whole" / "adapter").iterdir())
    assert kept == ["adapter_config.json", "adapter_model.safetensors"]
    assert result(tmp_path / "whole") != result(tmp_path / "sft")
    train_killed(Dpo(), base, tmp_path / "killed", PAIRS, adapter=start)
    assert result(tmp_path / "killed") == result(tmp_path / "whole")


@pytest.mark.parametrize("loss", ["dpo", "kto"])
def test_all_weights_can_be_trained_against_a_frozen_copy(base, tmp_path, loss):
    full = AdapterSettings(type="full")
    training = TrainingSettings(steps=6, batch_size=4, learning_rate=0.01)
    done = Dpo(loss=loss).train(tiny_job(base, tmp_path, PAIRS, adapter=full, training=training))
    assert done.figures["first"]["loss"] == pytest.approx(AT_THE_START[loss], abs=1e-4)
    assert done.figures["last"]["rewards/margins"] > 0.2


def test_kto_compares_with_completions_of_other_prompts():
    rows = [
        {"prompt_ids": [n], "chosen_ids": [10 + n], "rejected_ids": [20 + n]} for n in range(5)
    ]  # two passes of two, and one of one
    single = unpaired(rows[:4], 2)
    assert [row["completion_ids"] for row in single] == [[10], [11], [20], [21], [12], [13], [22], [23]]
    assert [row["label"] for row in single] == [True, True, False, False] * 2
    assert all(row["KL_completion_ids"][0] % 10 != row["prompt_ids"][0] for row in single)


def test_rows_that_are_too_long_are_left_out_and_counted(base, tmp_path):
    rows = [PreferenceRow(prompt="a", chosen="b" * 100, rejected="c"), *PAIRS]
    training = TrainingSettings(steps=1, batch_size=2, max_length=40)
    done = Dpo().train(tiny_job(base, tmp_path, rows, training=training))
    assert (done.figures["rows"], done.figures["rows_too_long"]) == (4, 1)
    with pytest.raises(InputError, match="all 1 rows are longer than max_length 40"):
        Dpo().train(tiny_job(base, tmp_path, rows[:1], training=training))


def test_validation_pairs_are_watched(base, tmp_path):
    for objective in (Dpo(), Dpo(loss="kto"), Genarm()):
        steps = []
        objective.train(tiny_job(base, tmp_path, PAIRS, validation=PAIRS[:3], on_step=steps.append))
        assert any("eval_loss" in step.metrics for step in steps)


def test_a_pass_of_one_row_is_too_few_for_kto(base, tmp_path):
    with pytest.raises(InputError, match="set micro_batch to 2 or more"):
        Dpo(loss="kto").train(
            tiny_job(base, tmp_path, PAIRS, training=TrainingSettings(steps=1, batch_size=2, micro_batch=1))
        )
