"""The head that makes a reranker of an encoder: untrained it is the encoder, and pairs do not disturb each other."""

import pytest
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from tiny_models import encoder

from ragkit.models.pair_scorer import PairScorer

PAIRS = [("warm colour", "red paint on the wall"), ("warm colour", "ice"), ("a much longer query than that", "b c d")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return encoder(tmp_path_factory.mktemp("encoder"))


def scorer(folder, **settings):
    weights = SentenceTransformer(folder, device="cpu")
    return PairScorer(weights.transformers_model, weights.tokenizer, **settings).eval()


def scores(scorer, pairs):
    with torch.inference_mode():
        return scorer(scorer.preprocess(pairs))["scores"][:, 0]


def test_texts_that_do_not_see_each_other_are_compared_as_the_encoder_compares_them(folder):
    alone = scorer(folder, damping=-1e4)
    alone.mix.data = torch.tensor([1.0, 0.0])
    raw = SentenceTransformer(folder, device="cpu")
    cosines = [raw.similarity(*raw.encode([query, passage])[:, None])[0, 0].item() for query, passage in PAIRS]
    assert scores(alone, PAIRS).tolist() == pytest.approx(cosines, abs=1e-5)


def test_a_pair_scores_the_same_in_any_batch(folder):
    one = scorer(folder)
    together = scores(one, PAIRS)
    for position, pair in enumerate(PAIRS):
        assert scores(one, [pair]).item() == pytest.approx(together[position].item(), abs=1e-4)


def test_texts_see_each_other_the_more_the_less_attention_is_damped(folder):
    apart = scores(scorer(folder, damping=-1e4), PAIRS)
    moved = [(scores(scorer(folder, damping=damping), PAIRS) - apart).abs().max() for damping in (-6.0, -2.0, 0.0)]
    assert 0 < moved[0] < moved[1] < moved[2]


def test_long_texts_are_cut(folder):
    short = scorer(folder, query_length=8, passage_length=8)
    features = short.preprocess([("word " * 50, "word " * 50)])
    assert features["input_ids"].shape == (1, 16) and features["of_query"].sum() == 8


def test_saved_heads_come_back(folder, tmp_path):
    one = scorer(folder, damping=-2.5, passage_length=100)
    one.outer.bias.data.fill_(3.0)
    one.save_head(tmp_path)
    other = PairScorer.with_head(tmp_path, one.model, one.tokenizer).eval()
    assert other.settings == one.settings and "model" not in other.head()
    assert torch.equal(scores(other, PAIRS), scores(one, PAIRS))
    wrong = SentenceTransformer(folder, device="cpu").transformers_model
    wrong.config.hidden_size = 16
    with pytest.raises((ValueError, RuntimeError), match=r"size mismatch|does not fit"):
        PairScorer.with_head(tmp_path, wrong, one.tokenizer)


def test_it_works_as_a_cross_encoder(folder):
    model = CrossEncoder(modules=[scorer(folder)], device="cpu", activation_fn=torch.nn.Identity())
    found = model.predict(PAIRS, batch_size=2, show_progress_bar=False)
    assert found.tolist() == pytest.approx(scores(scorer(folder), PAIRS).tolist(), abs=1e-4)
