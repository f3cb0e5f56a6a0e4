import bm25s
import numpy as np
import pytest
from sparse_helpers import CORPUS, QUERIES, growth, opened

from ragkit.index import lists
from ragkit.index.sparse import Analyser, SparseIndex, SparseSettings, build_sparse, counts
from ragkit.index.sparse.settings import Bm25Method

METHODS = Bm25Method.__args__


def random_texts(number, seed=0):
    """Passages of 0 to 60 words with a Zipf distribution, so that some words are in most passages."""
    random = np.random.default_rng(seed)
    lengths = random.integers(0, 60, number)
    return [" ".join(f"w{word}" for word in np.minimum(random.zipf(1.3, length), 500)) for length in lengths]


def files(folder, pattern="**/*"):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.glob(pattern) if path.is_file()}


@pytest.mark.parametrize("method", METHODS)
def test_scores_are_those_of_bm25s_own_indexing(tmp_path, method):
    texts = random_texts(700)
    settings = SparseSettings(method=method, k1=1.2, b=0.6, delta=0.7, stemmer=None, stopwords=None)
    build_sparse(settings, growth(texts, tmp_path / "work"), tmp_path / "index")
    ours = bm25s.BM25.load(tmp_path / "index", mmap=True)
    theirs = bm25s.BM25(method=method, k1=1.2, b=0.6, delta=0.7)
    analyse = Analyser(settings)
    theirs.index([analyse(text) for text in texts], show_progress=False)
    for word, number in theirs.vocab_dict.items():
        if word:
            expected = theirs.get_scores_from_ids([number])
            np.testing.assert_allclose(ours.get_scores([word]), expected, rtol=3e-7, err_msg=word)  # two last places


@pytest.mark.parametrize("method", METHODS)
def test_searches_are_those_of_bm25s_own_retrieval(tmp_path, method):
    texts = random_texts(2000, seed=1)
    index, analyse = opened(tmp_path, texts, method=method, stemmer=None, stopwords=None)
    theirs = bm25s.BM25.load(tmp_path / "index", mmap=True)
    for query in random_texts(40, seed=2):
        if not query:
            continue
        _, scores = theirs.retrieve([analyse(query)], k=10, show_progress=False)
        found = index.search([query], 10)[0]
        assert [score for _, score in found] == pytest.approx(scores[0][: len(found)].tolist(), rel=1e-6)
        exact = theirs.get_scores(analyse(query))
        assert [float(exact[position]) for position, _ in found] == pytest.approx([score for _, score in found])


@pytest.fixture
def small_pieces(monkeypatch):
    """Let pieces and blocks be small, so that a few hundred passages make many."""
    monkeypatch.setattr(counts, "_PIECE", 37)
    monkeypatch.setattr(lists, "_BLOCK", 91)


def test_pieces_and_blocks_leave_no_trace(tmp_path, monkeypatch):
    texts = [*random_texts(300), "", *CORPUS]
    build_sparse(SparseSettings(), growth(texts, tmp_path / "work1"), tmp_path / "whole")
    monkeypatch.setattr(counts, "_PIECE", 37)
    monkeypatch.setattr(lists, "_BLOCK", 91)
    build_sparse(SparseSettings(), growth(texts, tmp_path / "work2"), tmp_path / "cut")
    # Not the files in counts/, where the order of a passage's terms differs.
    assert files(tmp_path / "whole", "*") == files(tmp_path / "cut", "*")


@pytest.mark.parametrize("method", METHODS)
def test_growing_gives_the_scores_of_a_fresh_index(tmp_path, small_pieces, method):
    texts, deleted = random_texts(400, seed=3), [0, 5, 17, 260, 399]
    settings = SparseSettings(method=method)
    build_sparse(settings, growth(texts[:250], tmp_path / "work"), tmp_path / "first")
    done = []
    grown = growth(
        texts, tmp_path / "work", previous=tmp_path / "first", start=250, deleted=[5, 17], on_done=done.append
    )
    build_sparse(settings, grown, tmp_path / "second")
    assert done[-1] == 150
    blank = ["" if position in deleted else text for position, text in enumerate(texts)]
    last = growth(blank, tmp_path / "work", previous=tmp_path / "second", start=400, deleted=deleted)
    facts = build_sparse(settings, last, tmp_path / "third")
    assert facts["terms"] > 100
    present = [text for position, text in enumerate(texts) if position not in deleted]
    build_sparse(settings, growth(present, tmp_path / "work"), tmp_path / "fresh")
    places = [position for position in range(400) if position not in deleted]
    old, new = SparseIndex(tmp_path / "third", settings), SparseIndex(tmp_path / "fresh", settings)
    for query in random_texts(30, seed=4):
        expected = [(places[position], score) for position, score in new.search([query], 400)[0]]
        assert old.search([query], 400)[0] == expected


def test_a_packed_index_leaves_out_what_was_deleted(tmp_path, small_pieces):
    texts, settings = random_texts(300, seed=5), SparseSettings()
    kept = np.array([position for position in range(200) if position % 3])
    build_sparse(settings, growth(texts[:200], tmp_path / "work"), tmp_path / "first")
    remaining = [*(texts[position] for position in kept), *texts[200:]]
    packed = growth(remaining, tmp_path / "work", previous=tmp_path / "first", start=len(kept), kept=kept)
    build_sparse(settings, packed, tmp_path / "packed")
    build_sparse(settings, growth(remaining, tmp_path / "work"), tmp_path / "fresh")
    old, new = SparseIndex(tmp_path / "packed", settings), SparseIndex(tmp_path / "fresh", settings)
    for query in random_texts(30, seed=6):
        assert old.search([query], 300) == new.search([query], 300)


def test_deleted_passages_leave_the_reference_engine_too(tmp_path):
    settings = SparseSettings(method="robertson", engine="rank-bm25")
    build_sparse(settings, growth(CORPUS, tmp_path / "work"), tmp_path / "first")
    grown = growth(CORPUS, tmp_path / "work", previous=tmp_path / "first", start=len(CORPUS), deleted=[0])
    build_sparse(settings, grown, tmp_path / "second")
    build_sparse(settings, growth(CORPUS[1:], tmp_path / "work"), tmp_path / "fresh")
    old, new = SparseIndex(tmp_path / "second", settings), SparseIndex(tmp_path / "fresh", settings)
    for query in QUERIES:
        assert old.search([query], 9)[0] == [(position + 1, score) for position, score in new.search([query], 9)[0]]


def test_a_killed_build_goes_on_where_it_was(tmp_path, monkeypatch, small_pieces):
    texts, settings = random_texts(200), SparseSettings()
    analysed = []
    original = Analyser.words

    def words(self, text):
        analysed.append(text)
        if len(analysed) == 120:
            raise KeyboardInterrupt
        return original(self, text)

    monkeypatch.setattr(Analyser, "words", words)
    with pytest.raises(KeyboardInterrupt):
        build_sparse(settings, growth(texts, tmp_path / "work"), tmp_path / "killed")
    before = len(analysed)
    build_sparse(settings, growth(texts, tmp_path / "work"), tmp_path / "resumed")
    assert len(analysed) - before == 200 - 3 * 37
    build_sparse(settings, growth(texts, tmp_path / "other"), tmp_path / "fresh")
    assert files(tmp_path / "resumed") == files(tmp_path / "fresh")


def test_pieces_of_other_settings_or_texts_are_not_taken(tmp_path):
    build_sparse(SparseSettings(), growth(CORPUS, tmp_path / "work"), tmp_path / "a")
    build_sparse(SparseSettings(stemmer=None), growth(CORPUS, tmp_path / "work"), tmp_path / "b")
    build_sparse(SparseSettings(stemmer=None), growth(CORPUS, tmp_path / "fresh"), tmp_path / "c")
    assert files(tmp_path / "b") == files(tmp_path / "c") != files(tmp_path / "a")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("texts", [[], [""], ["the of", "?!"]])
def test_growing_from_an_index_without_any_word(tmp_path, texts, method):
    settings = SparseSettings(method=method)
    build_sparse(settings, growth(texts, tmp_path / "work"), tmp_path / "first")
    assert SparseIndex(tmp_path / "first", settings).search(["wheat"], 3) == [[]]
    grown = growth([*texts, *CORPUS], tmp_path / "work", previous=tmp_path / "first", start=len(texts))
    build_sparse(settings, grown, tmp_path / "second")
    assert SparseIndex(tmp_path / "second", settings).search(["silo"], 3)[0][0][0] == len(texts) + 4


def test_nothing_is_pickled(tmp_path):
    opened(tmp_path, CORPUS)
    for name, content in files(tmp_path / "index").items():
        assert name.endswith((".npy", ".json")) and b"\x80\x04\x95" not in content
