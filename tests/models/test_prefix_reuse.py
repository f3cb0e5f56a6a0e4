"""Prompts that begin alike are read from where they part, and the scores are those of prompts read alone."""

import pytest
from tiny_generators import answers, tiny_model

from ragkit.models import prefix_reuse
from ragkit.models.reading import NetworkReading
from ragkit.models.transformers_lm import TransformersModel

HEAD = "Facts about wheat, barley and rye, told one after the other. " * 3


def asked() -> list[dict[str, str]]:
    prompts = [HEAD + "a" * (40 - n) + "b" * n + f" question {n}?" for n in (0, 5, 20, 40)] + [HEAD + "other"]
    return [{"prompt": prompt, "text": text} for prompt in prompts for text in (" yes it is", " no")]


@pytest.fixture
def model(tmp_path):
    return TransformersModel(model=str(tiny_model(tmp_path / "base")), dtype="float32", device="cpu")


def test_scores_are_those_of_prompts_read_alone(model, monkeypatch):
    read: list[int] = []
    passed = NetworkReading._pass

    def counting(self, inputs, seen, keep=1):
        read.append(inputs["input_ids"].numel())
        return passed(self, inputs, seen, keep)

    monkeypatch.setattr(NetworkReading, "_pass", counting)
    in_turn = [reply.value for reply in answers(model, "likelihood", asked())]
    tokens_in_turn = sum(read)
    read.clear()
    alone = [answers(model, "likelihood", [one])[0].value for one in asked()]
    assert in_turn == pytest.approx(alone, abs=1e-4) and len({round(value, 3) for value in alone}) > 5
    assert tokens_in_turn * 2 < sum(read)


def test_prompts_that_share_little_are_read_together(model, monkeypatch):
    def refuse(*_):
        raise AssertionError("they share nothing")

    monkeypatch.setattr(prefix_reuse, "score_in_turn", refuse)
    monkeypatch.setattr("ragkit.models.transformers_lm.score_in_turn", refuse)
    replies = answers(model, "likelihood", [{"prompt": letter * 50, "text": " x"} for letter in "abcd"])
    assert all(reply.value < 0 for reply in replies)


def test_a_choice_in_turn_is_the_one_made_alone(model):
    many = [{"prompt": one["prompt"], "choices": [" yes", " no", " perhaps not"]} for one in asked()]
    together = [reply.value for reply in answers(model, "choose", many)]
    for one, value in zip(many, together, strict=True):
        (alone,) = answers(model, "choose", [one])
        assert alone.value["label"] == value["label"]
        assert alone.value["logprobs"] == pytest.approx(value["logprobs"], abs=1e-3)
