"""Guided decoding equals the sum of scores computed anew for every token, without batches, padding and caches."""

import asyncio
from functools import cache

import pytest

pytest.importorskip("peft")

import torch
from peft import PeftModel
from pydantic import ValidationError
from tiny_generators import answers, load_alone, tiny_lora, tiny_model, tiny_soft_prompt

from ragkit import Passage
from ragkit.errors import InputError
from ragkit.models import ScriptedModel, TransformersModel
from ragkit.stages.answer import AnswerRead

PROMPTS = [
    "Passage: Rivers flow to the sea. Question: Where do rivers flow? Answer:",
    "Soil?",
    "Passage: Wheat is sown. Question: What? Answer:",
]
BARE = ["Question: Where do rivers flow? Answer:", "Soil", "What on earth might it be? Answer:"]
CHOICES = [" yes", " yet", " no"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    home = tmp_path_factory.mktemp("guides")
    base = tiny_model(home / "base")
    small = tiny_model(home / "small", seed=7, hidden=16, extra_tokens=("<tool>", "<think>"))
    return {
        "base": base,
        "small": small,
        "reader": tiny_lora(home / "reader", base, seed=1),
        "soft": tiny_soft_prompt(home / "soft", base, seed=2),
        "tuned": tiny_lora(home / "tuned", small, seed=3),
    }


def declare(folders, guide, **settings):
    named = [
        {key: str(folders[value]) if key in {"model", "adapter"} and value else value for key, value in one.items()}
        for one in guide
    ]
    return TransformersModel(model=str(folders["base"]), dtype="float32", device="cpu", guide=named, **settings)


@cache
def alone(model, adapter):
    network = load_alone(model)
    return PeftModel.from_pretrained(network, adapter).eval() if adapter else network


def scores(folders, terms, ids):
    """Return the log-probabilities of the token after each of several prompts' ids, from their weighted sum."""
    total = 0.0
    for (model, adapter, weight), prompt in zip(terms, ids, strict=True):
        logits = alone(folders[model], folders.get(adapter))(input_ids=torch.tensor([prompt])).logits[0, -1]
        total = total + weight * logits.log_softmax(-1)[:257]  # as the papers write EFT and GenARM
    return total.log_softmax(-1)


PROXY = [{"model": "small", "adapter": "tuned", "weight": 1.0}, {"model": "small", "weight": -1.0}]
CASES = {
    "proxy-tuning": (PROXY, [("base", None, 1.0), ("small", "tuned", 1.0), ("small", None, -1.0)]),
    "half as strong": (
        [guide | {"weight": guide["weight"] / 2} for guide in PROXY],
        [("base", None, 1.0), ("small", "tuned", 0.5), ("small", None, -0.5)],
    ),
    "several deltas": (
        [*PROXY, {"adapter": "reader", "weight": 0.7}, {"weight": -0.7}],
        [("base", None, 0.3), ("small", "tuned", 1.0), ("small", None, -1.0), ("base", "reader", 0.7)],
    ),
    "reward-guided": (
        [{"adapter": "soft", "weight": 0.4}, {"adapter": "reader", "weight": 0.6}],
        [("base", None, 1.0), ("base", "soft", 0.4), ("base", "reader", 0.6)],
    ),
    "the base alone cancels out": (
        [{"adapter": "reader", "weight": 1.0}, {"adapter": None, "weight": -1.0}],
        [("base", "reader", 1.0)],
    ),
    "context contrast": (
        [{"weight": 0.5}, {"prompt": "contrast", "weight": -0.5}],
        [("base", None, 1.5), ("base", None, -0.5)],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_batches_equal_the_computation_without_caches(folders, case):
    guide, terms = CASES[case]
    model = declare(folders, guide)
    encode, decode = model._tokenizer.encode_text, model._tokenizer.decode
    contrast = case == "context contrast"
    many = [
        {"prompt": prompt, **({"contrast_prompt": bare} if contrast else {})}
        for prompt, bare in zip(PROMPTS, BARE, strict=True)
    ]
    lengths = [6, 3, 8]  # rows leave the batch at different times
    texts = answers(model, "generate", [a | {"max_new_tokens": n} for a, n in zip(many, lengths, strict=True)])
    choices = answers(model, "choose", [args | {"choices": CHOICES} for args in many])
    with torch.inference_mode():
        for text, choice, prompt, bare, length in zip(texts, choices, PROMPTS, BARE, lengths, strict=True):
            heads = [encode(prompt), encode(bare)] if contrast else [encode(prompt)] * len(terms)
            new, total = [], 0.0
            for _ in range(length):
                logprobs = scores(folders, terms, [head + new for head in heads])
                new.append(logprobs.argmax().item())
                total += logprobs.max().item()
            assert text.value["text"] == decode(new)
            assert text.value["logprob"] == pytest.approx(total / length, abs=1e-4)
            assert text.prompt_tokens == len(encode(prompt))
            sums = []
            for label in CHOICES:
                tail = encode(label)
                parts = [scores(folders, terms, [head + tail[:n] for head in heads])[t] for n, t in enumerate(tail)]
                sums.append(sum(parts))
            expected = torch.stack(sums).log_softmax(0).tolist()
            assert list(choice.value["logprobs"].values()) == pytest.approx(expected, abs=1e-4)


def test_equal_voices_are_computed_once(folders):
    model = declare(folders, CASES["several deltas"][0])
    answers(model, "generate", [{"prompt": "x", "max_new_tokens": 1}])
    assert [round(weight, 6) for weight in model._voices.values()] == [0.3, 1.0, -1.0, 0.7]
    assert len({id(network.base) for network in model._networks}) == 2


def test_sampling_and_constraints_follow_the_guided_scores(folders):
    model = declare(folders, PROXY)
    one = {"prompt": "Soil?", "max_new_tokens": 12, "temperature": 1.0, "seed": 1, "draw": 0}
    held = {"prompt": "Is it?", "max_new_tokens": 8, "grammar": 'start: "yes" | "no"'}
    first, other, answer, again = answers(model, "generate", [one, one | {"draw": 1}, held, one])
    assert first.value["text"] == again.value["text"]
    assert first.value["text"] != other.value["text"]
    assert answer.value["text"] in {"yes", "no"}
    plain = TransformersModel(model=str(folders["base"]), dtype="float32", device="cpu")
    assert first.value["text"] != answers(plain, "generate", [one])[0].value["text"]


def test_guides_of_another_vocabulary_are_refused(folders, tmp_path):
    # Here the extra tokens are the model's, and the guide lacks them.
    model = TransformersModel(model=str(folders["small"]), guide=[{"model": str(folders["base"]), "weight": 1.0}])
    with pytest.raises(InputError, match=r"cannot guide.*'<t(ool|hink)>' is number 25\d of the model and not known"):
        model.ensure_open()
    shifted = tiny_model(tmp_path / "shifted", extra_tokens=("<tool>",))
    model = TransformersModel(model=str(folders["small"]), guide=[{"model": str(shifted), "weight": 1.0}])
    with pytest.raises(InputError, match=r"their tokenizers differ"):
        model.ensure_open()


def test_a_contrast_prompt_and_a_guide_that_uses_it_go_together(folders):
    contrasting, plain = declare(folders, CASES["context contrast"][0]), declare(folders, PROXY)
    for model, args, message in (
        (contrasting, {}, "the stage gives no contrast prompt"),
        (plain, {"contrast_prompt": "x"}, "no guide of .* uses it"),
    ):
        for op in ("generate", "choose"):
            settings = {"max_new_tokens": 2} if op == "generate" else {"choices": CHOICES}
            (outcome,) = answers(model, op, [{"prompt": "Soil?", **args, **settings}])
            assert isinstance(outcome, InputError)
            with pytest.raises(InputError, match=message):
                raise outcome
    found = asyncio.run(contrasting.generate(PROMPTS[0], max_new_tokens=4, contrast_prompt=BARE[0]))
    same = asyncio.run(contrasting.generate(PROMPTS[0], max_new_tokens=4, contrast_prompt=PROMPTS[0]))
    assert found.text != same.text
    with pytest.raises(InputError, match="ScriptedModel takes no contrast prompt"):
        asyncio.run(ScriptedModel(default="x").choose("a", ["b"], contrast_prompt="c"))


def test_a_long_prompt_of_a_guide_is_refused(folders):
    model = declare(folders, CASES["context contrast"][0])
    (outcome,) = answers(model, "generate", [{"prompt": "Soil?", "contrast_prompt": "x" * 600, "max_new_tokens": 4}])
    assert "the prompt has 600 tokens" in str(outcome)


def test_fingerprints_name_guides_and_weights(folders):
    guides = [[], PROXY, [PROXY[0]], [PROXY[0] | {"weight": 0.5}, PROXY[1]], *(case[0] for case in CASES.values())]
    found = {declare(folders, guide).fingerprint() for guide in guides}
    assert len(found) == len(guides) - 1  # proxy-tuning is there twice
    assert (
        declare(folders, []).fingerprint()
        == TransformersModel(model=str(folders["base"]), dtype="float32", device="cpu").fingerprint()
    )


def test_guides_that_leave_nothing_are_refused(folders):
    with pytest.raises(ValidationError, match="cancel out to 0"):
        declare(folders, [{"weight": -1.0}])
    with pytest.raises(ValidationError, match="finite"):
        declare(folders, [{"weight": float("inf")}])


def test_the_reader_gives_its_prompt_without_passages_as_contrast(folders, tmp_path):
    model = declare(folders, CASES["context contrast"][0])
    passages = (Passage(page_content="Rivers flow to the sea.", id="a"),)
    prompt = tmp_path / "brief.jinja"
    prompt.write_text("{% for passage in passages %}{{ passage.page_content }} {% endfor %}Question: {{ question }}")
    ask = AnswerRead(model=model, prompt=str(prompt), contrast=True, max_new_tokens=6)
    found = asyncio.run(ask.run("Where?", passages))
    assert 0 < found["vars.confidence"] < 1
    with pytest.raises(InputError, match="the stage gives no contrast prompt"):
        asyncio.run(AnswerRead(model=model, prompt=str(prompt)).run("Where?", passages))
