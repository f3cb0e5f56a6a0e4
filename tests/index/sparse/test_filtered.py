"""BM25 with the statistics of the passages that a filter lets through."""

import asyncio

import numpy as np
import pytest
from pydantic import ValidationError
from rank_bm25 import BM25Okapi

from ragkit.index import LocalIndex, SparseSettings
from ragkit.index.filters import Filter
from ragkit.index.sparse import Analyser

WORDS = np.array(["wheat", "maize", "soil", "rust", "silo", "rain", "dry", "yellow", "The", *map(str, range(40))])
PAPER = {"tokens": "whitespace", "stemmer": None, "stopwords": None, "fold_accents": False, "method": "robertson"}


@pytest.fixture
def texts():
    dice = np.random.default_rng(3)
    made = {f"a{n}": " ".join(dice.choice(WORDS, dice.integers(6, 20))) for n in range(12)}
    return made | {f"b{n}": "wheat wheat wheat " * n + "silo" for n in range(1, 9)}


@pytest.fixture
def build(tmp_path, write_rows, texts):
    write_rows({name: text for name, text in texts.items() if name[0] == "a"}, "a.jsonl")
    write_rows({name: text for name, text in texts.items() if name[0] == "b"}, "b.jsonl")

    def make(files="*.jsonl", **settings):
        sparse = SparseSettings(**settings)
        path = tmp_path / f"index-{files.strip('*.')}-{settings.get('statistics')}"
        index = LocalIndex(documents=(files,), base=tmp_path, path=path, sparse=sparse)
        index.prepare(lambda *step: None)
        return index

    return make


def found(index, query, source=None):
    where = Filter.parse({"field": "source", "equals": source}, "test") if source else None
    return [(p.id, round(p.score, 4)) for p in asyncio.run(index.search("sparse", query, 20, where))]


@pytest.mark.parametrize("method", ["lucene", "robertson", "atire", "bm25l", "bm25+"])
def test_a_selection_scores_as_if_it_were_the_corpus(build, method):
    both, alone = build(statistics="filter", method=method), build("a.jsonl", method=method)
    for query in ("wheat in the rain", "silo", "yellow rust on dry soil"):
        own = dict(found(both, query, "a"))
        assert own == pytest.approx(dict(found(alone, query)), abs=2e-4)
        assert own


def test_without_a_filter_it_is_the_corpus(build):
    assert found(build(statistics="filter"), "wheat rain") == found(build(), "wheat rain")


def test_the_paper_s_baseline_is_okapi_over_the_words_of_the_document(build, texts):
    index = build(statistics="filter", engine="rank-bm25", **PAPER)
    names = [name for name in texts if name[0] == "a"]
    okapi = BM25Okapi([texts[name].split() for name in names])
    query = "The yellow Rust dry dry"
    scores = dict(zip(names, okapi.get_scores(query.split()), strict=True))
    own = dict(found(index, query, "a"))
    assert own == pytest.approx({name: scores[name] for name in own}, abs=2e-4)
    assert set(own) == {name for name in names if set(query.split()) & set(texts[name].split())}


def test_white_space_leaves_words_as_they_are():
    assert Analyser(SparseSettings(**PAPER))("The  yields,\nof Wheat") == ["The", "yields,", "of", "Wheat"]


def test_white_space_and_a_stemmer_exclude_each_other():
    with pytest.raises(ValidationError, match="stemmer: null"):
        SparseSettings(tokens="whitespace")


def test_settings_that_were_there_before_are_recorded_as_before():
    assert "tokens" not in SparseSettings().built_with()
    assert SparseSettings().searched_with() == {"engine": "bm25s"}
    assert SparseSettings(statistics="filter").searched_with() == {"engine": "bm25s", "statistics": "filter"}
