"""How the dense part is built: shards, kills, continuing, memory, and factories that do not fit."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dense_fakes import Chosen, Texts, build, clustered, positions, unit_rows
from index_fakes import FakeEncoder, NanEncoder, RemoteFake

from ragkit.errors import InputError, RagkitError
from ragkit.index.dense import DenseIndex, DenseSettings, build_dense, shards
from ragkit.index.dense.embedding import embed_passages
from ragkit.index.part import Growth

KINDS = [
    "Flat", "SQ8", "SQfp16", "PQ8x4np", "HNSW16", "HNSW16_SQ8", "IVF16,Flat", "IVF16,SQfp16", "IVF16,PQ8x4np",
    "IVF16_HNSW8,Flat", "OPQ8,PQ8x4np", "PCA16,Flat", "PCAR16,IVF16,SQ8", "OPQ8_16,IVF16,PQ8x4np", "IVF16,PQ8x4fs",
    "PQ16x4fs", "HNSW16_PQ8x4np", "PQ8x4np,RFlat", "IVF16,PQ8x4np,RFlat", "L2norm,Flat", "RR16,HNSW8",
]  # fmt: skip
SEARCH = {"IVF": {"nprobe": 8}, "HNSW": {"efSearch": 64}}


def search_for(factory):
    return next((search for kind, search in SEARCH.items() if kind in factory and "_HNSW" not in factory), {})


def recall(index, vectors, queries, allowed=None, k=10):
    scores = unit_rows(queries) @ unit_rows(vectors).T
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    best = np.argsort(-scores, axis=1)[:, :k]
    found = index.search(list(queries), k, allowed)
    return np.mean([len(set(positions(a)) & set(b)) / k for a, b in zip(found, best.tolist(), strict=True)])


@pytest.mark.parametrize("factory", KINDS)
def test_every_kind_is_built_filtered_and_continued(tmp_path, factory, monkeypatch):
    monkeypatch.setattr(shards, "SHARD", 1024)
    vectors, queries = clustered(3000), clustered(50, seed=1)
    settings = {"factory": factory, "search": search_for(factory), "train_on": 700}
    half = build(tmp_path / "half", vectors[:1500], **settings)
    continued = build(tmp_path / "continued", vectors, previous=half, start=1500, **settings)
    rebuilt = build(tmp_path / "rebuilt", vectors, **settings)
    of_all = recall(rebuilt.open(), vectors, queries)
    assert recall(continued.open(), vectors, queries) >= of_all - 0.1 and of_all > 0.2
    for part in (continued, rebuilt):
        index = part.open()
        assert index._index.ntotal == 3000 and part.facts["dimension"] == 32
        for share in (0.97, 0.4, 0.01):
            allowed = np.random.default_rng(3).random(3000) < share
            rankings = index.search(list(queries), 10, allowed)
            assert all(allowed[positions(ranking)].all() for ranking in rankings)
            assert all(len(ranking) == 10 for ranking in rankings)
            assert all(score == sorted(score, reverse=True) for score in [[s for _, s in r] for r in rankings])
            assert recall(index, vectors, queries, allowed) >= of_all - 0.1


@pytest.mark.parametrize(
    ("factory", "metric", "message"),
    [
        ("Flatt", "cosine", "factory 'Flatt' with 32 dimensions: .*Flatt.*examples that fit: Flat"),
        ("PQ7", "cosine", "one of 1, 2, 4, 8, 16, 32 parts"),
        ("IVF100,Flat", "cosine", "at least 100 vectors.*better 3900; there are 50.*'IVF1,Flat' fits"),
        ("PQ8", "l2", "at least 256 vectors.*there are 50"),
        ("LSH", "cosine", "for metric: l2 only, here it is cosine"),
        ("IDMap,Flat", "cosine", "leave out IDMap"),
        ("NSG16", "cosine", "NSG16' cannot be filled piece by piece"),
        ("ZnLattice4x8_8", "l2", "cannot be kept on disk"),
    ],
)
def test_a_factory_that_does_not_fit(tmp_path, monkeypatch, factory, metric, message):
    monkeypatch.setattr(shards, "SHARD", 30)
    with pytest.raises(InputError, match=message):
        build(tmp_path, clustered(50), factory=factory, metric=metric)


def test_a_factory_that_needs_more_vectors_is_refused_before_they_are_embedded(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD", 10)
    with pytest.raises(InputError, match="there are 50"):
        build(tmp_path, clustered(50), factory="IVF100,Flat")
    assert len(list((tmp_path / "work").glob("*.npy"))) == 1


def test_a_small_sample_is_an_error_and_a_thin_one_a_warning(tmp_path, caplog, capfd):
    with pytest.raises(InputError, match=r"at least 64 vectors.*there are 20"):
        build(tmp_path, clustered(500), factory="IVF64,Flat", train_on=20)
    build(tmp_path, clustered(500), factory="IVF64,Flat")
    assert "trains 64 centroids on 500 vectors; FAISS advises 2496" in caplog.text
    assert "WARNING" not in capfd.readouterr().err


def test_the_same_input_gives_the_same_file(tmp_path):
    for factory in ("Flat", "IVF8,Flat", "PQ8x4np"):
        files = [
            (build(tmp_path / factory / name, clustered(900), factory=factory, train_on=400).folder / "vectors.faiss")
            for name in "ab"
        ]
        assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_a_flat_file_is_the_one_that_faiss_writes(tmp_path, metric, monkeypatch):
    import faiss

    monkeypatch.setattr(shards, "SHARD", 64)
    vectors = clustered(200)
    half = build(tmp_path / "half", vectors[:150], metric=metric)
    part = build(tmp_path / "whole", vectors, previous=half, start=150, metric=metric)
    index = faiss.IndexFlatIP(32) if metric == "cosine" else faiss.IndexFlatL2(32)
    if metric == "cosine":
        faiss.normalize_L2(vectors)
    index.add(vectors)
    faiss.write_index(index, str(tmp_path / "expected"))
    assert (part.folder / "vectors.faiss").read_bytes() == (tmp_path / "expected").read_bytes()


def test_another_layout_of_flat_files_goes_through_faiss(tmp_path, monkeypatch):
    streamed = build(tmp_path / "a", clustered(100))
    monkeypatch.setattr("ragkit.index.dense.building.known_layout", lambda *_: False)
    written = build(tmp_path / "b", clustered(100))
    assert (streamed.folder / "vectors.faiss").read_bytes() == (written.folder / "vectors.faiss").read_bytes()


def test_nothing_new_copies_the_files(tmp_path):
    first = build(tmp_path / "a", clustered(100), factory="HNSW8")
    again = build(tmp_path / "b", clustered(100), factory="HNSW8", previous=first, start=100)
    assert again.facts == first.facts and not (tmp_path / "b/work").exists()
    assert (again.folder / "vectors.faiss").read_bytes() == (first.folder / "vectors.faiss").read_bytes()


def test_deleted_passages_are_not_embedded(tmp_path):
    class Refusing(FakeEncoder):
        def execute(self, op, batch):
            assert all(request.args["text"] for request in batch)
            return super().execute(op, batch)

    texts = Texts(["", "a b", "", "c d", ""])
    settings = DenseSettings(encoder=Refusing(), device="cpu")
    done = []
    growth = Growth(texts, tmp_path / "work", deleted=np.array([0, 2, 4]), on_done=done.append)
    assert build_dense(settings, growth, tmp_path / "dense")["dimension"] == 64
    allowed = np.array([bool(text) for text in texts])
    index = DenseIndex(tmp_path / "dense", settings)
    assert sorted(positions(index.search([np.ones(64, dtype=np.float32)], 5, allowed)[0])) == [1, 3]
    assert done[-1] == 5
    nothing = Growth(Texts([""]), tmp_path / "work", deleted=np.array([0]))
    with pytest.raises(RagkitError, match="no passages to embed"):
        build_dense(settings, nothing, tmp_path / "none")


def test_shards_are_found_again_by_their_content(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD", 100)
    counts = []

    class Counting(Chosen):
        def execute(self, op, batch):
            counts.append(len(batch))
            return super().execute(op, batch)

    def embedded(encoder, number, **settings):
        counts.clear()
        growth = Growth(Texts(map(str, range(number))), tmp_path / "work")
        build_dense(DenseSettings(encoder=encoder, **settings), growth, tmp_path / "dense")
        return sum(counts)

    encoder = Counting(table=clustered(500))
    assert embedded(encoder, 450) == 450
    assert embedded(encoder, 450) == 0
    assert embedded(encoder, 480) == 80  # the last shard was of 50 passages
    assert embedded(encoder, 450, metric="l2") == 450  # these are not scaled
    assert embedded(Counting(name="other", table=clustered(500)), 450) == 450
    longest = max((tmp_path / "work").glob("*.npy"), key=lambda path: path.stat().st_size)
    longest.write_bytes(longest.read_bytes()[:-9])
    assert (
        sum(embedded(each, 450) for each in (encoder, Counting(name="other", table=clustered(500))))
        + embedded(encoder, 450, metric="l2")
        > 0
    )


def test_a_killed_build_goes_on_where_it_was(tmp_path):
    code = """
import sys, time
from pathlib import Path
from dense_fakes import Chosen, Texts, clustered
from ragkit.index.dense import DenseSettings, build_dense, shards
from ragkit.index.part import Growth
shards.SHARD = 100
class Slow(Chosen):
    def execute(self, op, batch):
        if any(request.args["text"] == "250" for request in batch):
            print("third", flush=True)
            time.sleep(60)
        return super().execute(op, batch)
folder = Path(sys.argv[1])
settings = DenseSettings(encoder=Slow(table=clustered(500)))
build_dense(settings, Growth(Texts(map(str, range(500))), folder / "work"), folder / "dense")
"""
    here = Path(__file__).parent
    path = os.pathsep.join(map(str, (here, here.parent, here.parents[2])))
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path}
    )
    assert process.stdout.readline() == b"third\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    asked = []

    class Watched(Chosen):
        def execute(self, op, batch):
            asked.extend(int(request.args["text"]) for request in batch)
            return super().execute(op, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD", 100)
        settings = DenseSettings(encoder=Watched(table=clustered(500)), device="cpu")
        done = []
        growth = Growth(Texts(map(str, range(500))), tmp_path / "work", on_done=done.append)
        build_dense(settings, growth, tmp_path / "dense")
    assert sorted(asked) == list(range(200, 500))
    assert done == sorted(done) and done[:2] == [100, 200] and done[-1] == 500
    assert recall(DenseIndex(tmp_path / "dense", settings), clustered(500), clustered(20, seed=1)) == 1


@pytest.mark.parametrize("factory", ["Flat", "SQ8"])
def test_a_previous_build_of_another_size_or_dimension(tmp_path, factory):
    first = build(tmp_path / "a", clustered(100), factory=factory)
    with pytest.raises(InputError, match="holds 100 vectors, 60 are expected"):
        build(tmp_path / "b", clustered(120), factory=factory, previous=first, start=60)
    with pytest.raises(RagkitError, match=r"vectors of 16 dimensions .*those before them have 32"):
        build(tmp_path / "c", clustered(120, 16), factory=factory, previous=first, start=100)


def test_vectors_of_several_dimensions(tmp_path):
    class Changing(FakeEncoder):
        def execute(self, op, batch):
            replies = super().execute(op, batch)
            return [reply._replace(value=reply.value[: 9 + position]) for position, reply in enumerate(replies)]

    growth = Growth(Texts(["a", "b"]), tmp_path / "work")
    with pytest.raises(RagkitError, match="passage 2 has 10 dimensions, those before it had 9"):
        build_dense(DenseSettings(encoder=Changing()), growth, tmp_path / "dense")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"dimension": 3}', '{"dimension": 16, "longest": 1}'])
def test_damaged_facts(tmp_path, content):
    part = build(tmp_path, clustered(10))
    (part.folder / "facts.json").write_text(content)
    with pytest.raises(ValueError, match=r"."):
        part.open()


def test_a_flat_file_that_was_cut_short(tmp_path):
    part = build(tmp_path, clustered(100))
    file = part.folder / "vectors.faiss"
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(RuntimeError):
        part.open()


def test_vectors_are_as_the_encoder_gives_them():
    done = []
    vectors = embed_passages(FakeEncoder(), ["one two two", "", "three"], "abc", done.append)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([5**0.5, 0, 1]) and vectors.dtype == np.float32
    assert done[-1] == 3


@pytest.mark.parametrize("metric", ["cosine", "inner_product", "l2"])
def test_not_a_number_is_refused(tmp_path, metric):
    growth = Growth(Texts(["x"]), tmp_path / "work")
    with pytest.raises(RagkitError, match=r"passage 1 .*NaN"):
        build_dense(DenseSettings(encoder=NanEncoder(), metric=metric), growth, tmp_path / "dense")


def test_a_failing_passage_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD", 2)

    class Failing(FakeEncoder):
        def execute(self, op, batch):
            if any("bad" in request.args["text"] for request in batch):
                raise ValueError("cannot")
            return super().execute(op, batch)

    growth = Growth(Texts(["a", "b", "bad", "c"]), tmp_path / "work")
    with pytest.raises(RagkitError, match="failed on passage 3: cannot"):
        build_dense(DenseSettings(encoder=Failing()), growth, tmp_path / "dense")


def test_remote_encoders():
    texts = [f"text number {number}" for number in range(50)]
    done = []
    vectors = embed_passages(RemoteFake(), texts, texts, done.append)
    assert (vectors == embed_passages(FakeEncoder(), texts, texts, done.append)).all()
    assert done[:50] == list(range(1, 51))
    with pytest.raises(RagkitError, match="refused by the server"):
        embed_passages(RemoteFake(fail_on="number 7"), texts, texts, done.append)
