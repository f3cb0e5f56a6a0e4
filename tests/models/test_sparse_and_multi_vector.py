import asyncio

import numpy as np
import pytest
from tiny_models import bert, multi_vector_encoder, sparse_encoder
from transformers import BertForMaskedLM, BertModel

from ragkit.engine.calls import Request
from ragkit.errors import InputError, RagkitError
from ragkit.models import SentenceTransformerMultiVectorEncoder, SentenceTransformerSparseEncoder

pytestmark = pytest.mark.models

TEXTS = ["Clay soil holds water.", "Wheat", "A tractor pulls a plough " * 20, "Ackerbau: Weizen und Gerste"]
CPU = {"device": "cpu", "dtype": "float32"}


@pytest.fixture(scope="module")
def sparse(tmp_path_factory):
    return sparse_encoder(tmp_path_factory.mktemp("sparse"))


@pytest.fixture(scope="module")
def multi(tmp_path_factory):
    return multi_vector_encoder(tmp_path_factory.mktemp("multi"))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RAGKIT_HOME", str(tmp_path))


def answers(encoder, op, kinds):
    encoder.ensure_open()
    requests = [Request(op, {"text": text, "kind": kind}) for text, kind in zip(TEXTS, kinds, strict=True)]
    encoder.measure(requests)
    return encoder.execute(op, requests)


def test_sparse_vectors_are_those_of_sentence_transformers(sparse):
    from sentence_transformers import SparseEncoder

    raw = SparseEncoder(sparse, device="cpu")
    encoder = SentenceTransformerSparseEncoder(model=sparse, max_active=50, **CPU)
    for reply, text in zip(answers(encoder, "embed_sparse", ["passage"] * 4), TEXTS, strict=True):
        expected = raw.encode_document(text, max_active_dims=50, convert_to_sparse_tensor=False).numpy()
        found = np.zeros_like(expected)
        found[reply.value["dimensions"]] = reply.value["weights"]
        np.testing.assert_allclose(found, expected, atol=1e-4)
        assert 0 < len(reply.value["weights"]) <= 50 and reply.prompt_tokens > 0
    vector = asyncio.run(encoder.embed_sparse("Wheat"))
    assert (np.diff(vector.dimensions) > 0).all() and vector.weights.dtype == np.float32


def test_token_vectors_are_those_of_sentence_transformers(multi):
    from sentence_transformers import MultiVectorEncoder

    raw = MultiVectorEncoder(multi, device="cpu")
    encoder = SentenceTransformerMultiVectorEncoder(model=multi, **CPU)
    kinds = ["passage", "query", "passage", "query"]
    for reply, text, kind in zip(answers(encoder, "embed_tokens", kinds), TEXTS, kinds, strict=True):
        encode = raw.encode_query if kind == "query" else raw.encode_document
        expected = encode(text, convert_to_numpy=True, normalize_embeddings=True)
        np.testing.assert_allclose(reply.value, expected, atol=1e-5)
    vectors = asyncio.run(encoder.embed_tokens("Wheat and rye"))
    assert vectors.ndim == 2 and not vectors.flags.writeable
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("encoder", "head"),
    [(SentenceTransformerSparseEncoder, BertModel), (SentenceTransformerMultiVectorEncoder, BertForMaskedLM)],
)
def test_a_model_that_would_get_random_layers_is_refused(tmp_path, encoder, head):
    folder = bert(tmp_path / "bert", head)
    with pytest.raises(InputError, match=r"was not trained as a (Sparse|MultiVector)Encoder.*random weights"):
        encoder(model=folder, **CPU).ensure_open()


def test_settings_are_part_of_the_description(sparse, multi):
    encoder = SentenceTransformerSparseEncoder
    assert encoder(model=sparse).describe() != encoder(model=sparse, max_active=5).describe()
    assert encoder(model=sparse).fingerprint() != SentenceTransformerMultiVectorEncoder(model=multi).fingerprint()
    short = SentenceTransformerMultiVectorEncoder(model=multi, max_length=6, **CPU)
    assert len(asyncio.run(short.embed_tokens("wheat " * 50, "passage"))) <= 6


def test_output_that_is_not_numbers_fails(multi, monkeypatch):
    encoder = SentenceTransformerMultiVectorEncoder(model=multi, **CPU)
    encoder.ensure_open()
    broken = [np.array([[1.0, np.nan]]), np.array([[1.0, 0.0]])]
    monkeypatch.setattr(encoder._weights, "encode_document", lambda texts, **_: broken)
    bad, good = encoder.execute("embed_tokens", [Request("x", {"text": t, "kind": "passage"}) for t in "ab"])
    assert isinstance(bad, RagkitError) and good.value.shape == (1, 2)
