"""How probable a given text is."""

import asyncio

import pytest

pytest.importorskip("peft")

import torch
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from tiny_generators import answers, load_alone, tiny_model

from ragkit.errors import InputError, RagkitError
from ragkit.models import LangChainModel, TransformersModel
from ragkit.models.scripted import Rule, ScriptedModel
from ragkit.tuning.forgetting import FACTS, FACTS_AS_CODE, INSTRUCTIONS, TEXT, probe


@pytest.fixture
def model(tmp_path):
    return TransformersModel(model=str(tiny_model(tmp_path / "base")), dtype="float32", device="cpu")


def test_it_is_the_mean_over_the_text_s_tokens(model):
    asked = [
        {"prompt": "The soil is", "text": " wet."},
        {"prompt": "Wheat", "text": "x"},
        {"prompt": "a b", "text": "é"},
    ]
    found = answers(model, "likelihood", asked)
    network = load_alone(model.model)
    for args, outcome in zip(asked, found, strict=True):
        head, tail = (model._tokenizer.encode_text(args[key]) for key in ("prompt", "text"))
        with torch.inference_mode():
            logprobs = network(torch.tensor([head + tail])).logits[0].log_softmax(-1)
        wanted = sum(logprobs[len(head) - 1 + n, token].item() for n, token in enumerate(tail)) / len(tail)
        assert outcome.value == pytest.approx(wanted, abs=1e-4)
        assert outcome.prompt_tokens == len(head)


def test_what_is_wrong_with_a_text_is_its_own_error(model):
    asked = [{"prompt": "a", "text": ""}, {"prompt": "a", "text": "b" * 600}, {"prompt": "a", "text": "b"}]
    empty, long, good = answers(model, "likelihood", asked)
    assert isinstance(empty, InputError)
    assert isinstance(long, InputError)
    assert good.value < 0


def test_a_scripted_model_expects_what_its_rules_say():
    model = ScriptedModel(rules=(Rule(contains="soil", reply=" wet"),), default="?")
    wet, dry = (asyncio.run(model.likelihood("The soil is", text)) for text in (" wet", " dry"))
    assert wet > dry


def test_a_remote_model_says_that_it_cannot_tell():
    model = LangChainModel.wrap(FakeListChatModel(responses=["x"]), "fake")
    with pytest.raises(RagkitError, match="does not tell how probable"):
        asyncio.run(model.likelihood("The soil is", " wet"))


def test_what_a_model_cannot_do_is_left_out_of_the_probe_and_said(model):
    found = probe(model)
    assert set(found.scores) == {TEXT, FACTS, FACTS_AS_CODE}
    assert "chat template" in found.left_out[INSTRUCTIONS]
    assert all(score < 0 for score in found.scores[TEXT])
    assert probe(model) == found
