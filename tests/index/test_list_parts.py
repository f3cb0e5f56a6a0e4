"""What the learned sparse and the multi-vector part have in common, and the scores of each."""

import asyncio

import numpy as np
import pytest
from encoders_of_lists import FakeMultiVector, FakeSparse
from pydantic import ValidationError

from ragkit.errors import RagkitError
from ragkit.index import list_shards
from ragkit.index.learned_sparse import LearnedSparseIndex, LearnedSparseSettings, build_learned_sparse
from ragkit.index.multi_vector import MultiVectorIndex, MultiVectorSettings, build_multi_vector
from ragkit.index.part import Growth

WORDS = ["wheat", "maize", "soil", "water", "rust", "silo", "grain", "root", "field", "rain", "dry", "warm", "yellow"]


class Texts(list):
    def read(self, start, stop):
        return self[start:stop]


def random_texts(count, seed=0):
    random = np.random.default_rng(seed)
    return Texts(" ".join(random.choice(WORDS, random.integers(1, 9))) for _ in range(count))


class Part:
    """One of the two parts, with the encoder that fits it."""

    def __init__(self, settings, encoder, build, index):
        self.settings, self.encoder, self.build, self.index = settings, encoder, build, index

    def built(self, folder, texts, encoder=None, **growth):
        made = self.settings(encoder=encoder or self.encoder())
        self.build(made, Growth(Texts(texts), folder.parent / "work", **growth), folder)
        return self.index(folder, made)

    def queries(self, texts):
        settings = self.settings(encoder=self.encoder())
        return [asyncio.run(settings.query(text)) for text in texts]


PARTS = {
    "learned_sparse": Part(LearnedSparseSettings, FakeSparse, build_learned_sparse, LearnedSparseIndex),
    "multi_vector": Part(MultiVectorSettings, FakeMultiVector, build_multi_vector, MultiVectorIndex),
}


@pytest.fixture(params=PARTS)
def part(request, monkeypatch):
    monkeypatch.setattr(list_shards, "_SHARD", 16)
    return PARTS[request.param]


def test_sparse_scores_are_dot_products(tmp_path):
    part, texts = PARTS["learned_sparse"], random_texts(300)
    queries = part.queries(random_texts(20, seed=1))
    index = part.built(tmp_path / "x", texts)
    passages = np.zeros((300, 997))
    for position, vector in enumerate(part.queries(texts)):
        passages[position, vector.dimensions] = vector.weights
    for query, ranking in zip(queries, index.search(queries, 300), strict=True):
        scores = passages[:, query.dimensions] @ query.weights
        expected = [int(n) for n in np.lexsort((np.arange(300), -scores)) if scores[n] > 0]
        assert [position for position, _ in ranking] == expected
        np.testing.assert_allclose([score for _, score in ranking], scores[expected], rtol=1e-6)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_multi_vector_scores_are_maxsim(tmp_path, precision):
    from sentence_transformers.util import maxsim

    texts, queries = random_texts(200), random_texts(10, seed=1)
    part = PARTS["multi_vector"]
    settings = MultiVectorSettings(encoder=FakeMultiVector(), precision=precision)
    facts = build_multi_vector(settings, Growth(texts, tmp_path / "work"), tmp_path / "x")
    assert facts == {"dimension": 16, "tokens": sum(len(text.split()) for text in texts)}
    vectors, passages = part.queries(queries), part.queries(texts)
    expected = maxsim(vectors, passages).numpy()
    found = np.zeros((10, 200))
    for row, ranking in zip(found, MultiVectorIndex(tmp_path / "x", settings).search(vectors, 200), strict=True):
        for position, score in ranking:
            row[position] = score
    np.testing.assert_allclose(found, expected, atol={"float32": 1e-5, "float16": 5e-3}[precision])


def test_multi_vector_blocks_leave_no_trace(tmp_path, monkeypatch):
    from ragkit.index import multi_vector

    part, texts = PARTS["multi_vector"], random_texts(300)
    queries = part.queries(random_texts(5, seed=1))
    index = part.built(tmp_path / "x", texts)
    whole = index.search(queries, 300)
    monkeypatch.setattr(multi_vector, "_TOKENS", 40)
    for one, other in zip(whole, index.search(queries, 300), strict=True):
        assert dict(one) == pytest.approx(dict(other), abs=1e-5)


def test_multi_vector_scores_of_many_queries_are_bounded(tmp_path, monkeypatch):
    from ragkit.index import multi_vector

    part = PARTS["multi_vector"]
    index = part.built(tmp_path / "x", random_texts(100))
    queries = part.queries(random_texts(50, seed=1))
    whole = index.search(queries, 9)
    rows = []
    full = np.full
    monkeypatch.setattr(multi_vector.np, "full", lambda shape, *rest: rows.append(shape[0]) or full(shape, *rest))
    monkeypatch.setattr(multi_vector, "_SCORES", 1_000)
    assert index.search(queries, 9) == whole and rows == [10] * 5


def test_vectors_too_long_for_float16_are_refused(tmp_path):
    class Long(FakeMultiVector):
        def value(self, words):
            return super().value(words) * 1e6

    with pytest.raises(RagkitError, match="float16"):
        PARTS["multi_vector"].built(tmp_path / "x", ["wheat"], Long())


def test_rankings_are_deterministic(part, tmp_path):
    index = part.built(tmp_path / "x", [*random_texts(100), *random_texts(100)])
    queries = part.queries(random_texts(8, seed=2))
    together = index.search(queries, 50)
    assert together == [index.search([query], 50)[0] for query in queries]
    assert [ranking[:7] for ranking in together] == index.search(queries, 7)
    for ranking in together:
        assert ranking == sorted(ranking, key=lambda found: (-found[1], found[0]))


def test_only_allowed_passages_are_found(part, tmp_path):
    index = part.built(tmp_path / "x", random_texts(200))
    queries, allowed = part.queries(random_texts(8, seed=2)), np.random.default_rng(0).random(200) < 0.2
    for everything, selected in zip(index.search(queries, 200), index.search(queries, 5, allowed), strict=True):
        expected = [found for found in everything if allowed[found[0]]][:5]
        assert [position for position, _ in selected] == [position for position, _ in expected]
    assert index.search(queries, 5, np.zeros(200, bool)) == [[]] * 8


def test_it_grows_and_forgets(part, tmp_path):
    texts, done = random_texts(120), []
    encoder = part.encoder()
    part.built(tmp_path / "first", texts[:70], encoder)
    grown = part.built(
        tmp_path / "second", texts, encoder, previous=tmp_path / "first", start=70, deleted=np.array([3, 69]),
        on_done=done.append,
    )  # fmt: skip
    assert len(encoder._seen) == 120 and done[-1] == 50 and done == sorted(done)
    blank = ["" if position in (3, 69) else text for position, text in enumerate(texts)]
    fresh = part.built(tmp_path / "fresh", blank)
    queries = part.queries(random_texts(10, seed=3))
    assert grown.search(queries, 120) == fresh.search(queries, 120)
    kept = np.array([position for position in range(120) if position not in (3, 69)])
    packed = part.built(
        tmp_path / "packed", [texts[n] for n in kept], encoder, previous=tmp_path / "second", start=118, kept=kept
    )
    expected = [[(int(kept[position]), score) for position, score in ranking] for ranking in packed.search(queries, 9)]
    for one, other in zip(expected, fresh.search(queries, 9), strict=True):
        assert [position for position, _ in one] == [position for position, _ in other]


def test_a_killed_build_goes_on(part, tmp_path):
    texts, killed, second = random_texts(100), part.encoder(stop_after=40), part.encoder()
    with pytest.raises(KeyboardInterrupt):
        part.built(tmp_path / "x", texts, killed)
    index = part.built(tmp_path / "x", texts, second)
    assert len(second._seen) == 100 - 2 * 16
    queries = part.queries(texts[:5])
    assert index.search(queries, 9) == part.built(tmp_path / "other" / "y", texts).search(queries, 9)


def test_shards_of_another_encoder_are_not_taken(part, tmp_path):
    other = part.encoder(name="other")
    part.built(tmp_path / "x", random_texts(40))
    part.built(tmp_path / "x", random_texts(40), other)
    assert len(other._seen) == 40


def test_a_failing_passage_is_named(part, tmp_path):
    with pytest.raises(RagkitError, match="failed on passage 19: cannot"):
        part.built(tmp_path / "x", ["fine"] * 18 + ["bad"])


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_nothing_to_find(part, tmp_path, texts):
    assert part.built(tmp_path / "x", texts).search(part.queries(["wheat"]), 3) == [[]]


def test_unknown_terms_and_other_dimensions(tmp_path):
    sparse = PARTS["learned_sparse"].built(tmp_path / "s", ["wheat"])
    assert sparse.search(PARTS["learned_sparse"].queries(["zebra", ""]), 3) == [[], []]
    multi = PARTS["multi_vector"].built(tmp_path / "m", ["wheat"])
    with pytest.raises(RagkitError, match="16 dimensions"):
        multi.search([np.ones((2, 8), np.float32)], 1)


def test_settings(part):
    with pytest.raises(ValidationError):
        part.settings(encoder=None)
    assert part.settings(encoder=part.encoder()).built_with()["encoder"] == {"id": "fake"}
