"""GRPO and RLOO on a tiny random model: what pays is learned, after the audit has found that only work pays."""

import json
import math

import pytest
from tiny_generators import tiny_model
from tiny_jobs import result, tiny_job, train_killed

from ragkit.errors import InputError
from ragkit.models.scripted import ScriptedModel
from ragkit.models.transformers_lm import TransformersModel
from ragkit.tuning.job import AdapterSettings, TrainingSettings
from ragkit.tuning.objectives.policy import Grpo, Rloo, starting_policy
from ragkit.tuning.objectives.sft import Sft
from ragkit.tuning.rewards.answers import F1Reward
from ragkit.tuning.rewards.format import BrevityReward
from ragkit.tuning.rows import PromptRow, SftRow

ROWS = [
    PromptRow(prompt=f"{word} is", columns={"question": f"what is {word}", "answers": [word], "passages": [word]})
    for word in ("abc", "defg", "hi", "jklmn", "op", "qrs")
]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("base"), extra_tokens=("<|extra|>",))


def odd_bytes(prompts, completions, **columns):
    """The share of characters that no policy without work writes: those outside ASCII."""
    return [sum(not letter.isascii() for letter in text) / max(1, len(text)) for text in completions]


def tiny(cls=Grpo, **settings):
    return cls(**{"rewards": (odd_bytes,), "generations": 4, "max_new_tokens": 6, "audit": 4} | settings)


@pytest.mark.parametrize(
    "objective",
    [tiny(), tiny(beta=0.0, loss="grpo"), tiny(Rloo)],
    ids=["dapo", "without reference", "rloo"],
)
def test_what_pays_is_learned(base, tmp_path, objective):
    steps = []
    training = TrainingSettings(steps=10, batch_size=6, learning_rate=0.1, warmup=0, schedule="constant")
    done = objective.train(tiny_job(base, tmp_path, ROWS, training=training, on_step=steps.append))
    earned = [step.metrics["reward"] for step in steps]
    assert earned[-1] > earned[0] + 0.05
    assert {"reward", "reward_std", "frac_reward_zero_std", "rewards/odd_bytes/mean"} <= set(steps[0].metrics)
    assert ("kl" in steps[0].metrics) == (objective.beta > 0)
    assert done.figures["audit"]["hacks"] == []
    TransformersModel(model=str(base), adapter=str(tmp_path / "adapter")).ensure_open()


@pytest.mark.parametrize("loss", ["gspo", "luspo", "dr_grpo", "cispo"])
def test_every_variant_moves_the_weights(base, tmp_path, loss):
    training = TrainingSettings(steps=2, batch_size=2, learning_rate=0.05, warmup=0)
    done = tiny(loss=loss, audit=0).train(tiny_job(base, tmp_path, ROWS, training=training))
    assert done.figures["first"]["grad_norm"] > 0
    assert not math.isnan(done.figures["last"]["loss"])


@pytest.mark.parametrize(
    ("cls", "start"), [(Grpo, False), (Grpo, True), (Rloo, False)], ids=["grpo", "grpo from an adapter", "rloo"]
)
def test_a_killed_training_goes_on_to_the_same_bytes(base, tmp_path, cls, start):
    adapter, model = AdapterSettings(r=4), {}
    if start:  # in half precision, where optimiser and reference keep copies of the adapter
        model = {"model": TransformersModel(model=str(base), dtype="bfloat16", device="cpu")}
        rows = [SftRow(prompt="abc is", completion=" abc")]
        Sft().train(tiny_job(base, tmp_path / "sft", rows, training=TrainingSettings(steps=2, batch_size=1), **model))
        adapter = AdapterSettings(start=str(tmp_path / "sft" / "adapter"))
    training = TrainingSettings(steps=4, batch_size=2, micro_batch=1, learning_rate=0.02, save_every=2)
    tiny(cls).train(tiny_job(base, tmp_path / "whole", ROWS, training=training, adapter=adapter, **model))
    train_killed(tiny(cls), base, tmp_path / "killed", ROWS, at=4, training=training, adapter=adapter, **model)
    assert result(tmp_path / "killed") == result(tmp_path / "whole")
    kept = sorted(path.name for path in (tmp_path / "killed" / "adapter").iterdir())
    assert kept == ["adapter_config.json", "adapter_model.safetensors"]


def test_a_reward_that_can_be_earned_without_work_is_refused_before_the_training(base, tmp_path):
    paid = tiny(rewards=(BrevityReward(words=3),))
    with pytest.raises(InputError, match="the rewards pay policies that do no work") as refused:
        paid.train(tiny_job(base, tmp_path, ROWS))
    assert "'constant' 1.000" in str(refused.value)
    assert "constant" in json.loads((tmp_path / "audit.json").read_text())["hacks"]
    assert not (tmp_path / "checkpoints").exists()
    with pytest.raises(InputError, match=r"the model earns 0\.000"):
        tiny(rewards=(F1Reward(),)).train(tiny_job(base, tmp_path, ROWS))  # a random model is never right
    done = tiny(rewards=(BrevityReward(words=3),), audit=0).train(
        tiny_job(base, tmp_path, ROWS, training=TrainingSettings(steps=1, batch_size=1))
    )
    assert "audit" not in done.figures


def test_a_resumed_training_does_not_audit_again(base, tmp_path):
    asked = []

    def counted(prompts, completions, **columns):
        asked.append(len(completions))
        return odd_bytes(prompts, completions)

    train_killed(tiny(rewards=(counted,)), base, tmp_path, ROWS)
    policies = 9
    parts_and_total = 2
    assert asked.count(4) == policies * parts_and_total


def test_rewards_see_the_rows_and_the_texts_as_the_pipeline_does(base, tmp_path):
    seen = []

    def spy(prompts, completions, *, question, answers, passages):
        seen.extend(zip(prompts, question, completions, strict=True))
        return [float(len(text)) for text in completions]

    training = TrainingSettings(steps=1, batch_size=3)
    hostile = [PromptRow(prompt="<|extra|> is", columns=ROWS[0].columns), *ROWS]
    tiny(rewards=(spy,), audit=0).train(tiny_job(base, tmp_path, hostile, training=training))
    by_prompt = {row.prompt: row.columns["question"] for row in hostile}
    assert len(seen) == 3 * 4
    assert all(by_prompt[prompt] == question for prompt, question, _ in seen)
    groups = [prompt for prompt, _, _ in seen]
    assert groups == [prompt for prompt in dict.fromkeys(groups) for _ in range(4)]


def test_prompts_are_tokenised_as_in_answering(base, tmp_path, monkeypatch):
    from trl import GRPOTrainer

    given = []
    generate = GRPOTrainer._generate_single_turn

    def spy(self, prompt_ids, *rest):
        given.extend(prompt_ids)
        return generate(self, prompt_ids, *rest)

    monkeypatch.setattr(GRPOTrainer, "_generate_single_turn", spy)
    rows = [PromptRow(prompt="a <|extra|> is <|end|>", columns={})]
    tiny(audit=0).train(tiny_job(base, tmp_path, rows, training=TrainingSettings(steps=1, batch_size=1)))
    model = TransformersModel(model=str(base))
    model.ensure_open()
    assert given == [model._tokenizer.encode(rows[0].prompt)] * 4
    assert model._tokenizer.tokenizer.eos_token_id not in given[0]  # text that looks like an end token is text


def test_the_sum_is_weighted_and_each_reward_is_logged_under_its_name(base, tmp_path):
    def long(prompts, completions, **columns):
        return [float(len(text)) for text in completions]

    rewards = (BrevityReward(words=1, weight=3.0), BrevityReward(words=2, weight=-1.0), long)
    steps = []
    training = TrainingSettings(steps=1, batch_size=2)
    tiny(rewards=rewards, audit=0).train(tiny_job(base, tmp_path, ROWS, training=training, on_step=steps.append))
    logged = steps[0].metrics
    parts = [logged[f"rewards/{name}/mean"] for name in ("brevity", "brevity_2", "long")]
    assert logged["reward"] == pytest.approx(3 * parts[0] - parts[1] + parts[2], abs=1e-4)


def test_prompts_without_room_for_a_completion_are_left_out_and_counted(base, tmp_path):
    rows = [PromptRow(prompt="a" * 40, columns={}), PromptRow(prompt="a" * 34, columns={})]
    training = TrainingSettings(steps=1, batch_size=1, max_length=40)
    done = tiny(audit=0).train(tiny_job(base, tmp_path, rows, training=training))
    assert (done.figures["rows"], done.figures["rows_too_long"]) == (1, 1)
    with pytest.raises(InputError, match="all 1 prompts are longer than max_length 40 less max_new_tokens 6"):
        tiny(audit=0).train(tiny_job(base, tmp_path, rows[:1], training=training))


def test_a_group_that_earns_the_same_is_counted(base, tmp_path):
    steps = []
    same = tiny(rewards=(lambda prompts, completions, **columns: [1.0] * len(completions),), audit=0)
    training = TrainingSettings(steps=1, batch_size=2)
    same.train(tiny_job(base, tmp_path, ROWS, training=training, on_step=steps.append))
    assert steps[0].metrics["frac_reward_zero_std"] == 1
    assert steps[0].metrics["reward_std"] == pytest.approx(0)
    assert not math.isnan(steps[0].metrics["loss"])


def test_a_policy_is_a_model_of_transformers(base, tmp_path):
    with pytest.raises(InputError, match="a policy is a language model of provider transformers, not ScriptedModel"):
        starting_policy(tiny_job(base, tmp_path, ROWS, model=ScriptedModel(default="x")))
