import typing

import numpy as np
import pytest
import rank_bm25
from pydantic import ValidationError
from sparse_helpers import CORPUS, QUERIES, opened

from ragkit.index.sparse import SparseSettings
from ragkit.index.sparse.settings import REFERENCES


@pytest.mark.parametrize(
    ("method", "reference", "factor"),
    [
        ("bm25+", lambda corpus: rank_bm25.BM25Plus(corpus, k1=1.5, b=0.75, delta=0.5), 1.0),
        # Okapi has the factor k1 + 1, and another idf for words in more than half of the passages (none here).
        ("robertson", lambda corpus: rank_bm25.BM25Okapi(corpus, k1=1.5, b=0.75), 2.5),
    ],
)
def test_scores_are_those_of_rank_bm25(tmp_path, method, reference, factor):
    index, analyse = opened(tmp_path, CORPUS, method=method)
    other = reference([analyse(text) for text in CORPUS])
    for query in QUERIES:
        expected = other.get_scores(analyse(query))
        found = dict(index.search([query], len(CORPUS))[0])
        matching = {n for n, text in enumerate(CORPUS) if set(analyse(text)) & set(analyse(query))}
        assert found.keys() == matching
        for position, score in found.items():
            assert score * factor == pytest.approx(expected[position], rel=1e-5)


def test_lucene_scores_by_the_formula(tmp_path):
    index, analyse = opened(tmp_path, CORPUS)
    documents = [analyse(text) for text in CORPUS]
    mean = np.mean([len(document) for document in documents])
    (ranking,) = index.search(["wheat"], 10)
    for position, score in ranking:
        frequency, length = documents[position].count("wheat"), len(documents[position])
        idf = np.log(1 + (len(CORPUS) - 2 + 0.5) / (2 + 0.5))
        assert score == pytest.approx(idf * frequency / (frequency + 1.5 * (0.25 + 0.75 * length / mean)), rel=1e-5)
    assert [position for position, _ in ranking] == [0, 3]


def test_bm25l_scores_by_the_formula(tmp_path):
    index, analyse = opened(tmp_path, CORPUS, method="bm25l")
    documents = [analyse(text) for text in CORPUS]
    mean = np.mean([len(document) for document in documents])
    for position, score in index.search(["wheat"], 10)[0]:
        frequency = documents[position].count("wheat") / (0.25 + 0.75 * len(documents[position]) / mean) + 0.5
        assert score == pytest.approx(np.log(8 / 2.5) * 2.5 * frequency / (1.5 + frequency), rel=1e-5)


def test_batch_equals_one_at_a_time_and_shorter_is_a_prefix(tmp_path):
    index, _ = opened(tmp_path, CORPUS * 20)
    together = index.search(QUERIES, 30)
    assert together == [index.search([query], 30)[0] for query in QUERIES]
    for query, ranking in zip(QUERIES, together, strict=True):
        for k in (1, 2, 7, 29):
            assert index.search([query], k)[0] == ranking[:k]


def test_equal_scores_are_ordered_by_position(tmp_path):
    index, _ = opened(tmp_path, ["same text"] * 9 + ["other"])
    assert [position for position, _ in index.search(["same"], 4)[0]] == [0, 1, 2, 3]


@pytest.mark.parametrize("query", ["", "   ", "the of and", "?!", "zzz unknown", "a z q", "\0", "🌱"])
def test_queries_without_a_known_word_find_nothing(tmp_path, query):
    index, _ = opened(tmp_path, CORPUS)
    assert index.search([query, "wheat"], 3)[0] == []


@pytest.mark.parametrize("method", typing.get_args(SparseSettings.model_fields["method"].annotation))
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("texts", [["the of"], ["", "?!"], ["wheat", ""], ["wheat"]])
def test_corpora_with_few_or_no_words(tmp_path, texts, method):
    index, _ = opened(tmp_path, texts, method=method)
    found = index.search(["wheat", ""], 5)
    assert found[1] == []
    assert {position for position, _ in found[0]} <= {0}


@pytest.mark.parametrize(
    "values",
    [{"method": "bm26"}, {"stemmer": "klingon"}, {"stopwords": "x"}, {"k1": -1}, {"b": 1.1}, {"k1": float("nan")}]
    + [{"engine": "rank-bm25", "method": method} for method in ("lucene", "atire")],
)
def test_wrong_settings_are_refused(values):
    with pytest.raises(ValidationError):
        SparseSettings(**values)


@pytest.mark.parametrize("method", REFERENCES)
def test_the_reference_engine_ranks_alike(tmp_path, method):
    fast, _ = opened(tmp_path / "fast", CORPUS * 3 + [""], method=method)
    slow, _ = opened(tmp_path / "slow", CORPUS * 3 + [""], method=method, engine="rank-bm25")
    allowed = np.arange(len(CORPUS) * 3 + 1) % 2 == 0
    for selection in (None, allowed):
        for one, other in zip(fast.search(QUERIES, 9, selection), slow.search(QUERIES, 9, selection), strict=True):
            # BM25L is another function, see SparseSettings; here it differs in nothing but the scores.
            if method == "bm25l":
                assert {position for position, _ in one} == {position for position, _ in other}
            else:
                assert [position for position, _ in one] == [position for position, _ in other]


def test_bm25l_of_rank_bm25_is_another_function(tmp_path):
    texts = ["wheat wheat wheat soil", "wheat soil air water", "soil rust", "rust silo", "silo grain"]
    fast, analyse = opened(tmp_path, texts, method="bm25l")
    reference = rank_bm25.BM25L([analyse(text) for text in texts]).get_scores(["wheat"])
    found = dict(fast.search(["wheat"], 2)[0])
    assert reference[0] == pytest.approx(3 * found[0], rel=1e-5) and reference[1] == pytest.approx(found[1], rel=1e-5)
    assert reference[2] == 0


def test_only_allowed_passages_are_found_and_the_best_of_them(tmp_path):
    index, _ = opened(tmp_path, CORPUS * 200)
    everything = index.search(QUERIES, len(CORPUS) * 200)
    allowed = np.random.default_rng(0).random(len(CORPUS) * 200) < 0.1
    for ranking, selected in zip(everything, index.search(QUERIES, 10, allowed), strict=True):
        assert selected == [(position, score) for position, score in ranking if allowed[position]][:10]
    assert index.search(QUERIES, 10, np.zeros(len(CORPUS) * 200, bool)) == [[]] * len(QUERIES)
