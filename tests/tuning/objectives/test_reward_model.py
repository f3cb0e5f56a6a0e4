"""A reward model on a tiny random model: trained, loaded again, used as a reward."""

import shutil

import pytest
import torch
from tiny_generators import tiny_model
from tiny_jobs import result, tiny_job, train_killed

from ragkit.engine.tasks import run_tasks
from ragkit.errors import InputError, RagkitError
from ragkit.models.reward_model import TransformersRewardModel
from ragkit.tuning.job import AdapterSettings, TrainingSettings
from ragkit.tuning.objectives.reward_model import RewardModelObjective
from ragkit.tuning.objectives.sft import Sft
from ragkit.tuning.rewards.learned import LearnedReward
from ragkit.tuning.rows import PreferenceRow, SftRow

PAIRS = [
    PreferenceRow(prompt=f"{word} is", chosen=f" {word[::-1]}", rejected=f" {word}")
    for word in ("abc", "defg", "hi", "jklmn", "op", "qrs")
]
TRAINING = TrainingSettings(steps=30, batch_size=6, learning_rate=0.02, save_every=10)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def trained(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    done = RewardModelObjective().train(tiny_job(base, folder, PAIRS, training=TRAINING))
    assert done.figures["last"]["accuracy"] == 1
    assert done.figures["last"]["margin"] > 1
    return folder / "adapter"


def reward_model(base, adapter, **settings):
    adapter = None if adapter is None else str(adapter)
    return TransformersRewardModel(model=str(base), adapter=adapter, dtype="float32", device="cpu", **settings)


def grades(model, pairs):
    outcomes = run_tasks([lambda pair=pair: model.grade(*pair) for pair in pairs])
    assert not [outcome.error for outcome in outcomes if outcome.error]
    return [outcome.value for outcome in outcomes]


def test_it_grades_as_it_was_taught(base, trained):
    model = reward_model(base, trained)
    better = grades(model, [(pair.prompt, pair.chosen) for pair in PAIRS])
    worse = grades(model, [(pair.prompt, pair.rejected) for pair in PAIRS])
    assert all(one > other + 0.5 for one, other in zip(better, worse, strict=True))


def test_a_grade_does_not_depend_on_the_batch_and_is_read_at_the_end_token(base, trained):
    many = [(pair.prompt, pair.chosen) for pair in PAIRS]
    together = grades(reward_model(base, trained), many)
    alone = grades(reward_model(base, trained, max_batch_size=1), many)
    assert together == pytest.approx(alone, abs=1e-5)
    model = reward_model(base, trained)
    model.ensure_open()
    network = model._weights.base_model.model
    tokenizer = model._tokenizer
    ids = [*tokenizer.encode_text(PAIRS[0].prompt + PAIRS[0].chosen), tokenizer.tokenizer.eos_token_id]
    with torch.no_grad():
        hidden = network.model(torch.tensor([ids])).last_hidden_state[0, -1]
        by_hand = network.score(hidden).item()
    assert together[0] == pytest.approx(by_hand, abs=1e-5)


def test_a_killed_training_goes_on_to_the_same_bytes(base, tmp_path):
    RewardModelObjective().train(tiny_job(base, tmp_path / "whole", PAIRS))
    train_killed(RewardModelObjective(), base, tmp_path / "killed", PAIRS)
    assert result(tmp_path / "killed") == result(tmp_path / "whole")


def test_all_weights_can_be_trained(base, tmp_path):
    full = AdapterSettings(type="full")
    RewardModelObjective().train(tiny_job(base, tmp_path, PAIRS, adapter=full, training=TRAINING))
    model = reward_model(tmp_path / "adapter", None)
    better, worse = (grades(model, [(p.prompt, text(p)) for p in PAIRS]) for text in (_chosen, _rejected))
    assert all(one > other for one, other in zip(better, worse, strict=True))


def _chosen(pair):
    return pair.chosen


def _rejected(pair):
    return pair.rejected


def test_it_is_a_reward(base, trained):
    reward = LearnedReward(model=reward_model(base, trained), scale=2.0)
    texts = [PAIRS[0].chosen, PAIRS[0].rejected]
    found = reward([PAIRS[0].prompt] * 2, texts)
    assert found == pytest.approx([grade / 2 for grade in grades(reward.model, [(PAIRS[0].prompt, t) for t in texts])])
    assert found[0] > found[1]


def test_what_is_no_reward_model_is_refused(base, trained, tmp_path):
    with pytest.raises(InputError, match="is no reward model: it has no head 'score'"):
        reward_model(base, None).ensure_open()
    Sft().train(tiny_job(base, tmp_path, [SftRow(prompt="a", completion="b")], training=TrainingSettings(steps=1)))
    with pytest.raises(InputError, match="it was not trained as a reward model"):
        reward_model(base, tmp_path / "adapter").ensure_open()
    with pytest.raises(InputError, match="not qlora"):
        RewardModelObjective().check(AdapterSettings(type="qlora"))
    with pytest.raises(InputError, match="starts from the model itself"):
        RewardModelObjective().check(AdapterSettings(start=str(trained)))


def test_its_fingerprint_follows_its_weights(base, trained, tmp_path):
    one = reward_model(base, trained).fingerprint()
    assert one == reward_model(base, trained).fingerprint() != reward_model(base, None).fingerprint()
    shutil.copytree(trained, tmp_path / "copy")
    assert reward_model(base, tmp_path / "copy").fingerprint() == one
    (tmp_path / "copy" / "adapter_config.json").write_text("{}")
    with pytest.raises(RagkitError):
        reward_model(base, tmp_path / "copy").fingerprint()


def test_a_call_that_cannot_be_made_fails_alone(base, trained):
    model = reward_model(base, trained)
    outcomes = run_tasks([lambda: model.grade("", "x"), lambda: model.grade("abc is", " cba")])
    assert "the prompt is empty" in outcomes[0].error
    assert outcomes[1].error is None
