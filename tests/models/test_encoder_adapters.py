"""Adapters of encoders and rerankers: which vectors they change, which indexes they search, and what is refused."""

import json

import pytest

pytest.importorskip("peft")

from langchain_core.documents import Document
from sentence_transformers import SentenceTransformer
from tiny_generators import tiny_lora, tiny_model
from tiny_models import encoder

from ragkit.engine.tasks import run_tasks
from ragkit.errors import InputError
from ragkit.index.dense import DenseSettings
from ragkit.index.local import LocalIndex
from ragkit.models.sentence_transformers_models import CrossEncoderReranker, SentenceTransformerEncoder


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return encoder(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory):
    """Return a function that saves a LoRA with weights that are not 0."""
    import torch
    from peft import LoraConfig

    def save(name, **notes):
        folder = tmp_path_factory.mktemp(name)
        torch.manual_seed(0)
        weights = SentenceTransformer(base, device="cpu")
        weights.add_adapter(
            LoraConfig(r=2, target_modules="all-linear", task_type="FEATURE_EXTRACTION", init_lora_weights=False)
        )
        weights.transformers_model.save_pretrained(str(folder))
        if notes:
            (folder / "ragkit_encoder.json").write_text(json.dumps(notes))
        return str(folder)

    return save


def model(base, cls=SentenceTransformerEncoder, **changes):
    return cls(**{"model": base, "device": "cpu", "dtype": "float32"} | changes)


def index(encoder, folder):
    return LocalIndex(path=folder, dense=DenseSettings(encoder=encoder))


def test_an_index_refuses_a_tuned_encoder_but_takes_one_tuned_for_queries(base, adapter, tmp_path):
    built = index(model(base), tmp_path / "index")
    built.add([Document(id=word, page_content=word) for word in ("soil", "water", "wheat")])
    built.close()
    with pytest.raises(
        InputError, match=r"index\.dense\.encoder\.adapter: the index has none, the settings say 'sha256:"
    ):
        index(model(base, adapter=adapter("all")), tmp_path / "index").manifest()
    queries = index(model(base, adapter=adapter("queries", texts="queries")), tmp_path / "index")
    (found,) = run_tasks([lambda: queries.search("dense", "soil", 3)])
    assert len(found.value) == 3
    assert queries.fingerprint() != built.fingerprint()


def test_vectors_are_those_of_sentence_transformers_with_the_adapter(base, adapter):
    folder = adapter("same")
    raw = SentenceTransformer(base, device="cpu")
    plain = raw.encode("soil", normalize_embeddings=True)
    raw.load_adapter(folder)
    adapted = raw.encode("soil", normalize_embeddings=True)
    (found,) = run_tasks([lambda: model(base, adapter=folder).embed("soil")])
    assert found.value == pytest.approx(adapted, abs=1e-5)
    assert abs(adapted - plain).max() > 1e-3


def test_adapters_that_do_not_fit_are_refused(base, adapter, tmp_path):
    generator = tiny_model(tmp_path / "generator")
    foreign = tiny_lora(tmp_path / "foreign", generator, seed=0)
    with pytest.raises(InputError, match="does not fit the model"):
        run_tasks([lambda: model(base, adapter=str(foreign)).embed("soil")])
    with pytest.raises(InputError, match="says texts 'passages'"):
        model(base, adapter=adapter("wrong", texts="passages")).describe()
    with pytest.raises(InputError, match=r"is not a folder with an adapter_config\.json"):
        model(base, adapter=str(tmp_path)).fingerprint()


def test_an_adapter_changes_the_fingerprint_of_a_reranker(base, adapter):
    tuned = model(base, CrossEncoderReranker, adapter=adapter("reranker"))
    assert tuned.fingerprint() != model(base, CrossEncoderReranker).fingerprint()
