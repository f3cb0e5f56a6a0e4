"""The training loop has none of the predecessor's defects: what is rewarded gets more probable, by its own reward.

MisinfoCorrect's loss lowered the score of what it rewarded, took the softmax over positions, read logits of the prompt
alone, and gave all samples of a batch one reward (docs/rarg.md). Each of these would fail here.
"""

import pytest
import torch
from peft import PeftModel
from tiny_generators import load_alone, tiny_model
from tiny_jobs import tiny_job
from transformers import AutoTokenizer

from ragkit.tuning.job import TrainingSettings
from ragkit.tuning.objectives.policy import Grpo, Rloo
from ragkit.tuning.rows import PromptRow

ROWS = [PromptRow(prompt=prompt, columns={"question": prompt}) for prompt in ("abc is", "hi is")]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("base"))


def logprobs(model, prompt, ids):
    """Return the log-probability of each completion after the prompt, over the vocabulary."""
    first = AutoTokenizer.from_pretrained(model.config.name_or_path).encode(prompt)
    with torch.no_grad():
        scores = [model(torch.tensor([first + list(own)])).logits[0] for own in ids]
    return [
        score[len(first) - 1 : len(first) + len(own) - 1]
        .log_softmax(-1)
        .gather(-1, torch.tensor(own)[:, None])
        .sum()
        .item()
        for score, own in zip(scores, ids, strict=True)
    ]


def tuned(base, adapter):
    return PeftModel.from_pretrained(load_alone(base), str(adapter)).eval()


@pytest.mark.parametrize("objective", [Grpo, Rloo])
def test_one_step_makes_rewarded_tokens_more_probable_and_the_others_less(base, tmp_path, objective, monkeypatch):
    from ragkit.tuning.objectives import policy

    sampled = {prompt: {} for prompt in ("abc is", "hi is")}
    original = policy.judges

    def noting(rewards, rows, loaded):
        (judge,) = original(rewards, rows, loaded)

        def call(prompts, completion_ids, **rest):
            values = [float(ids[0] % 2) for ids in completion_ids]
            for number, ids, value in zip(prompts, completion_ids, values, strict=True):
                sampled[rows[int(number)].prompt][tuple(ids)] = value
            return values

        call.__name__ = judge.__name__
        return [call]

    monkeypatch.setattr(policy, "judges", noting)
    training = TrainingSettings(steps=1, batch_size=2, learning_rate=0.02, warmup=0, schedule="constant")
    settings = {"rewards": (lambda *_, **__: [],), "generations": 16, "max_new_tokens": 1, "beta": 0.0, "audit": 0}
    objective(**settings).train(tiny_job(base, tmp_path, ROWS, training=training))
    before, after = load_alone(base), tuned(base, tmp_path / "adapter")
    for prompt, found in sampled.items():
        ids = [own for own in found if len(own) == 1]
        changes = [b - a for a, b in zip(logprobs(before, prompt, ids), logprobs(after, prompt, ids), strict=True)]
        rewarded = [change for change, own in zip(changes, ids, strict=True) if found[own]]
        others = [change for change, own in zip(changes, ids, strict=True) if not found[own]]
        assert rewarded and others
        assert sum(rewarded) / len(rewarded) > 0 > sum(others) / len(others)


def test_equal_rewards_move_nothing(base, tmp_path):
    """Advantages are relative to the group: a reward that all share is no lesson, and no NaN."""
    same = Grpo(
        rewards=(lambda prompts, completions, **columns: [0.7] * len(completions),),
        generations=4,
        max_new_tokens=2,
        beta=0.0,
        audit=0,
    )
    training = TrainingSettings(steps=2, batch_size=2, learning_rate=0.05, warmup=0)
    done = same.train(tiny_job(base, tmp_path, ROWS, training=training))
    assert done.figures["last"]["grad_norm"] == pytest.approx(0, abs=1e-6)
    before, after = load_alone(base), tuned(base, tmp_path / "adapter")
    ids = [(65,), (66,), (67,)]
    assert logprobs(after, "abc is", ids) == pytest.approx(logprobs(before, "abc is", ids), abs=1e-6)
