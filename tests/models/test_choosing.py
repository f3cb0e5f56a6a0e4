"""Choices are scored as whole texts, whatever first tokens they share."""

import pytest

pytest.importorskip("peft")

import torch
from tiny_generators import answers, load_alone, tiny_model

from ragkit.models import TransformersModel


def test_choices_with_a_common_first_token_are_told_apart(tmp_path):
    base = tiny_model(tmp_path / "base")
    model = TransformersModel(model=str(base), dtype="float32", device="cpu")
    encode = model._tokenizer.encode_text
    choices = [" unsure", " unwise", " sure"]  # all begin with the token of a blank, two with those of " un"
    prompts = ["Are you sure? I am", "Is it? I am", "Passage: soil is wet. Are you sure that you are? I am"]
    found = answers(model, "choose", [{"prompt": prompt, "choices": choices} for prompt in prompts])
    network = load_alone(base)
    for prompt, outcome in zip(prompts, found, strict=True):
        sums = []
        for choice in choices:
            head, tail = encode(prompt), encode(choice)
            with torch.inference_mode():
                logprobs = network(torch.tensor([head + tail])).logits[0].log_softmax(-1)
            sums.append(sum(logprobs[len(head) - 1 + n, token] for n, token in enumerate(tail)))
        wanted = torch.stack(sums).log_softmax(0).tolist()
        logprobs = outcome.value["logprobs"]
        assert list(logprobs.values()) == pytest.approx(wanted, abs=1e-4)
        assert len({round(value, 2) for value in logprobs.values()}) == 3
        assert outcome.value["label"] == max(logprobs, key=logprobs.get)
