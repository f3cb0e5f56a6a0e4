"""Models on one base share its weights, and each answers as it would alone with its adapter."""

import asyncio
import json
import shutil
import threading
import weakref
from functools import cache

import pytest

pytest.importorskip("peft")

import torch
from peft import PeftModel
from tiny_generators import answers, edit_config, load_alone, tiny_lora, tiny_model, tiny_soft_prompt

from ragkit import Pipeline
from ragkit.engine.stage import Stage, stage
from ragkit.errors import InputError, MissingPackageError
from ragkit.models import TransformersModel, adapters
from ragkit.models.base import LanguageModel
from ragkit.models.embedded import identify, locate
from ragkit.settings import RunSettings

PROMPTS = ["Where do rivers flow?", "Soil.", "Wheat is sown in autumn, and it is reaped in summer. " * 2 + "When?"]
HEAD = "Rivers flow to the sea and carry soil, and the soil makes fields along their banks. "
TOGETHER = [HEAD + tail for tail in ("Why?", "Where does the soil come from?", "What")]
CHOICES = [" yes", " yet", " no", " yes, and more"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    home = tmp_path_factory.mktemp("adapters")
    base = tiny_model(home / "base")
    return {
        "base": base,
        "reader": tiny_lora(home / "reader", base, seed=1),
        "writer": tiny_lora(home / "writer", base, seed=2, target_modules=["q_proj", "gate_proj", "lm_head"], r=2),
        "dora": tiny_lora(home / "dora", base, seed=3, use_dora=True, use_rslora=True),
        "prompt": tiny_soft_prompt(home / "prompt", base, seed=4),
        "longer": tiny_soft_prompt(home / "longer", base, seed=5, tokens=9),
    }


@pytest.fixture
def declare(folders):
    """Return a function that declares a model with one of the adapters; all models are closed at the end."""
    declared = []

    def model(adapter=None, **settings):
        settings = {"adapter": adapter and str(folders.get(adapter, adapter)), "device": "cpu"} | settings
        declared.append(TransformersModel(**{"model": str(folders["base"]), "dtype": "float32"} | settings))
        return declared[-1]

    yield model
    for one in declared:
        one.close()


@cache
def alone(base, adapter):
    model = load_alone(base)
    if adapter:
        model = PeftModel.from_pretrained(model, adapter).eval()
    return model, TransformersModel(model=str(base))._tokenizer.encode_text


def expected(folders, adapter, prompts, new=8):
    """Return greedy token ids and the log-probabilities of choices as PEFT gives them, without batches and caches."""
    model, encode = alone(folders["base"], folders.get(adapter))
    texts, scores = [], []
    with torch.inference_mode():
        for prompt in prompts:
            ids = encode(prompt)
            for _ in range(new):
                ids.append(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax().item())
            texts.append(ids[-new:])
            row = []
            for choice in CHOICES:
                tail = encode(choice)
                logits = model(input_ids=torch.tensor([encode(prompt) + tail])).logits[0].log_softmax(-1)
                row.append(sum(logits[len(logits) - len(tail) + i - 1, token].item() for i, token in enumerate(tail)))
            scores.append((torch.tensor(row) - torch.tensor(row).logsumexp(0)).tolist())
    return texts, scores


def written(model, prompts, new=8):
    found = answers(model, "generate", [{"prompt": prompt, "max_new_tokens": new} for prompt in prompts])
    return [outcome.value["text"] for outcome in found]


def chosen(model, prompts):
    found = answers(model, "choose", [{"prompt": prompt, "choices": CHOICES} for prompt in prompts])
    return [list(outcome.value["logprobs"].values()) for outcome in found]


ROLES = [None, "reader", "writer", "dora", "prompt", "longer"]


@pytest.mark.parametrize("prompts", [PROMPTS, TOGETHER], ids=["padded", "shared head"])
@pytest.mark.parametrize("order", [ROLES, ROLES[::-1]], ids=["forwards", "backwards"])
def test_interleaved_roles_answer_as_each_does_alone(folders, declare, order, prompts):
    roles = {adapter: declare(adapter) for adapter in order}
    decode = roles[None]._tokenizer.decode
    for _ in range(2):
        for adapter, role in roles.items():
            texts, scores = expected(folders, adapter, prompts)
            assert written(role, prompts) == [decode(ids) for ids in texts]
            for found, wanted in zip(chosen(role, prompts), scores, strict=True):
                assert found == pytest.approx(wanted, abs=1e-4)
    assert len({tuple(written(role, prompts)) for role in roles.values()}) == len(roles)


def test_roles_of_runs_side_by_side_are_not_mixed(declare):
    roles = [declare(adapter) for adapter in ROLES]
    alone = [written(role, PROMPTS, 24) for role in roles]
    found = {}

    def run(number):
        found[number] = [written(roles[number], PROMPTS, 24) for _ in range(6)]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(roles))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[number] == [alone[number]] * 6 for number in range(len(roles)))


def storages(models):
    """Return the memory of the weights that models hold, by address; adapters are left out."""
    parameters = [
        parameter
        for model in models
        for network in model._networks
        for name, parameter in network.weights.named_parameters()
        if "lora_" not in name
    ]
    return {parameter.untyped_storage().data_ptr(): parameter.untyped_storage().nbytes() for parameter in parameters}


def test_roles_on_one_base_cost_its_memory_once(declare):
    plain = declare()
    written(plain, PROMPTS)
    once = storages([plain])
    roles = [plain, declare("reader"), declare("writer"), declare("prompt"), declare("reader", device="auto")]
    for role in roles:
        written(role, PROMPTS)
    assert storages(roles) == once
    other = declare(dtype="bfloat16")
    written(other, PROMPTS)
    assert len(storages([*roles, other])) == 2 * len(once)


def test_the_last_to_close_frees_the_base_and_it_opens_again(declare):
    reader, writer = declare("reader"), declare("writer")
    before = written(reader, PROMPTS)
    written(writer, PROMPTS)
    base = weakref.ref(reader._networks[0].weights)
    reader.close()
    assert base() is not None
    assert written(reader, PROMPTS) == before
    reader.close()
    writer.close()
    assert base() is None
    assert written(reader, PROMPTS) == before


def test_adapters_that_nobody_holds_are_dropped(declare):
    plain, reader, writer = declare(), declare("reader"), declare("writer")
    before = written(plain, PROMPTS)
    written(reader, PROMPTS)
    base = plain._networks[0].base
    reader.close()
    texts = written(writer, PROMPTS)
    assert len(base._peft.peft_config) == 1
    again = declare("reader")
    written(again, PROMPTS)
    assert len(base._peft.peft_config) == 2
    assert written(writer, PROMPTS) == texts
    assert written(plain, PROMPTS) == before
    assert texts != before


def test_merged_weights_answer_the_same_and_are_their_owner_s(folders, declare):
    plain, merged = declare(), declare("reader", merge=True)
    texts, _ = expected(folders, "reader", PROMPTS)
    before = written(plain, PROMPTS)
    assert written(merged, PROMPTS) == [plain._tokenizer.decode(ids) for ids in texts]
    assert written(plain, PROMPTS) == before
    assert not storages([plain]).keys() & storages([merged]).keys()
    assert merged.fingerprint() != declare("reader").fingerprint()
    with pytest.raises(InputError, match="cannot be merged"):
        declare("prompt", merge=True).load("generate")
    with pytest.raises(ValueError, match="merge needs an adapter"):
        declare(merge=True)


def test_soft_prompts_take_their_share_of_the_context(folders, declare):
    text = "x" * 500
    plain, prompt = declare(), declare("prompt")
    assert plain._tokenizer.encode(text) == prompt._tokenizer.encode(text)
    (fits,) = answers(plain, "generate", [{"prompt": text, "max_new_tokens": 12}])
    (too_long,) = answers(prompt, "generate", [{"prompt": text, "max_new_tokens": 12}])
    assert fits.completion_tokens == 12
    assert "at most 495 fit into the context of 507 tokens" in str(too_long)


def test_fingerprints_name_the_adapter_s_contents(folders, declare, tmp_path):
    reader = declare("reader").fingerprint()
    shutil.copytree(folders["reader"], tmp_path / "copy")
    copy = declare(adapter=str(tmp_path / "copy"))
    assert copy.fingerprint() == reader
    assert len({declare(adapter).fingerprint() for adapter in ROLES}) == len(ROLES)
    edit_config(tmp_path / "copy", lora_alpha=3)
    assert declare(adapter=str(tmp_path / "copy")).fingerprint() != reader


def refusal(model):
    with pytest.raises(InputError) as caught:
        model.load("generate")
    return str(caught.value)


def test_adapters_of_other_bases_are_refused(folders, declare, tmp_path):
    wide = tiny_model(tmp_path / "wide", hidden=48)
    for made, reason in (
        (tiny_lora(tmp_path / "lora", wide, 1), "'model.layers.0.mlp.down_proj' is 32 x 64 in the model, but 96 wide"),
        (tiny_soft_prompt(tmp_path / "soft", wide, 1), "the model's embeddings are 32 wide, the adapter's 48"),
    ):
        message = refusal(declare(adapter=str(made)))
        assert reason in message
        for name in (made, wide, folders["base"]):
            assert str(name) in message


def broken(folders, tmp_path, **changes):
    shutil.copytree(folders["reader"], tmp_path / "broken")
    edit_config(tmp_path / "broken", **changes)
    return str(tmp_path / "broken")


def rename_weights(folder, change):
    from safetensors.torch import load_file, save_file

    file = folder / adapters.WEIGHTS
    save_file({change(name): tensor for name, tensor in load_file(file).items()}, file)


def test_adapters_with_other_modules_are_refused_and_leave_the_base_as_it_was(folders, declare, tmp_path):
    plain = declare()
    before = written(plain, PROMPTS)
    other = broken(folders, tmp_path)
    rename_weights(tmp_path / "broken", lambda name: name.replace("down_proj", "w2"))
    assert "the model has no module 'model.layers.0.mlp.w2'" in refusal(declare(adapter=other))
    rename_weights(tmp_path / "broken", lambda name: name.replace("w2", "down_proj"))
    edit_config(tmp_path / "broken", target_modules=["q_proj", "v_proj"])
    assert "configuration and weights disagree at" in refusal(declare(adapter=other))
    edit_config(tmp_path / "broken", target_modules=["q_proj", "v_proj", "down_proj"], r=3)
    assert "size mismatch" in refusal(declare(adapter=other))
    assert written(plain, PROMPTS) == before
    assert written(declare("reader"), PROMPTS) != before
    edit_config(tmp_path / "broken", target_modules=["q_proj"], r=4)
    assert "configuration and weights disagree at" in refusal(declare(adapter=other))
    assert written(plain, PROMPTS) == before


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"peft_type": "IA3"}, "of the type 'IA3'"),
        ({"bias": "all"}, "has biases"),
        ({"base_model_name_or_path": "some/other"}, None),
    ],
)
def test_adapters_that_cannot_be_shared_are_refused(folders, declare, tmp_path, changes, reason):
    model = declare(adapter=broken(folders, tmp_path, **changes))
    if reason:
        assert reason in refusal(model)
    else:
        adapter = adapters.read_adapter(model.adapter)
        adapters.check_base(adapter, model.model, "sha256:0")
        adapters.check_base(adapter, "some/other", "some/other@0")
        with pytest.raises(InputError, match=r"trained on 'some/other'.*'some/model'"):
            adapters.check_base(adapter, "some/model", "some/model@0")


@pytest.mark.parametrize(
    ("trained", "given", "fits"),
    [
        ("sha256:1", "sha256:1", True),
        ("sha256:1", "sha256:2", False),
        ("llm==1.0", "llm==1.1", False),
        ("some/model@aa", "some/model@bb", False),
        ("sha256:1", "llm==1.0", True),  # the same weights may be named in two ways: their shapes decide
    ],
)
def test_a_card_names_the_weights_that_an_adapter_belongs_to(folders, tmp_path, trained, given, fits):
    adapter = adapters.read_adapter(broken(folders, tmp_path))
    (adapter.folder / "ragkit_card.json").write_text(json.dumps({"base": {"weights": trained}}))
    if fits:
        adapters.check_base(adapter, "base", given)
    else:
        with pytest.raises(InputError, match=f"model 'base': it was trained on the weights {trained}, these are"):
            adapters.check_base(adapter, "base", given)


def test_an_adapter_with_the_card_of_other_weights_is_refused(folders, declare, tmp_path):
    folder = broken(folders, tmp_path)
    card = tmp_path / "broken" / "ragkit_card.json"
    card.write_text(json.dumps({"base": {"weights": identify(str(folders["base"]))}}))
    model = declare(adapter=folder)
    before = model.fingerprint()
    assert written(model, PROMPTS[:1])
    card.write_text("{}")
    assert model.fingerprint() == before  # what is said about weights is no part of them
    assert "does not say what it was trained on (KeyError: 'base')" in refusal(declare(adapter=folder))
    card.write_text(json.dumps({"base": {"weights": "sha256:other"}}))
    assert "it was trained on the weights sha256:other" in refusal(declare(adapter=folder))


def test_pickles_are_never_read(folders, declare, tmp_path):
    other = broken(folders, tmp_path)
    (tmp_path / "broken" / adapters.WEIGHTS).rename(tmp_path / "broken" / "adapter_model.bin")
    assert "a .bin file is a pickle" in refusal(declare(adapter=other))
    with pytest.raises(InputError, match="pickle"):
        declare(adapter=other).fingerprint()


def test_folders_that_are_no_adapters_are_refused(declare, tmp_path):
    with pytest.raises(InputError, match=r"adapter_config\.json"):
        declare(adapter=str(tmp_path)).fingerprint()
    (tmp_path / "adapter_config.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        declare(adapter=str(tmp_path)).fingerprint()


def test_shipped_adapters(folders, declare, monkeypatch, tmp_path):
    monkeypatch.setattr(adapters, "SHIPPED", tmp_path)
    with pytest.raises(InputError, match=r"there are: none"):
        declare(adapter="embedded:reader").fingerprint()
    shutil.copytree(folders["reader"], tmp_path / "reader")
    shipped = declare(adapter="embedded:reader")
    assert shipped.fingerprint() == declare("reader").fingerprint()
    assert written(shipped, PROMPTS) == written(declare("reader"), PROMPTS)
    with pytest.raises(InputError, match="did you mean 'reader'"):
        declare(adapter="embedded:raeder").fingerprint()
    for path in ("embedded:../reader", "embedded:"):
        with pytest.raises(InputError, match="unknown embedded adapter"):
            declare(adapter=path).fingerprint()


def test_peft_is_an_optional_package(declare, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'ragkit\[tuning\]'"):
        declare("reader").load("generate")
    assert written(declare(), PROMPTS)
    assert written(declare("prompt"), PROMPTS)


@stage("tests.two_roles", writes="answer")
class TwoRoles(Stage):
    """Ask both roles at once."""

    reader: LanguageModel
    writer: LanguageModel

    async def run(self, question: str) -> str:
        asked = (role.generate(question, max_new_tokens=8) for role in (self.reader, self.writer))
        return "|".join(generation.text for generation in await asyncio.gather(*asked))


def test_the_engine_never_mixes_roles_in_a_batch(declare):
    reader, writer = declare("reader", max_batch_size=2), declare("writer", max_batch_size=2)
    questions = [("a", "Why?"), ("b", "Where?"), ("c", "Wheat"), ("d", "Soil, sand and silt")]
    pipeline = Pipeline([TwoRoles(reader=reader, writer=writer)], run=RunSettings(cache=False))
    answered = [prediction.answer for prediction in pipeline.predict(questions)]
    alone = [["".join(written(role, [text])) for role in (reader, writer)] for _, text in questions]
    assert answered == ["|".join(texts) for texts in alone]
    assert all(one != other for one, other in alone)


@pytest.mark.models
def test_roles_on_the_embedded_model(tmp_path):
    smol, prompts = "embedded:smollm2-135m-instruct", ["The capital of France is", "Wheat and barley are"]
    adapter = tiny_lora(tmp_path / "reader", locate(smol)[0], seed=1, target_modules="all-linear")
    settings = {"model": smol, "dtype": "float32", "device": "cpu"}
    plain = TransformersModel(**settings)
    before = written(plain, prompts)
    reader = TransformersModel(**settings, adapter=str(adapter))
    texts = written(reader, prompts)
    assert written(plain, prompts) == before
    assert texts != before
    assert reader._networks[0].weights is plain._networks[0].weights
    reader.close()
    plain.close()
    assert written(TransformersModel(**settings, adapter=str(adapter), merge=True), prompts) == texts
