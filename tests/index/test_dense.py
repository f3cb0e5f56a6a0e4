import subprocess
import sys

import numpy as np
import pytest
from index_fakes import FakeEncoder, NanEncoder, RemoteFake

from ragkit.errors import InputError, RagkitError
from ragkit.index.dense import DenseIndex, build_dense, embed_passages, unit


def random_units(count, dimension=32, seed=0):
    vectors = np.random.default_rng(seed).standard_normal((count, dimension), dtype=np.float32)
    return np.stack([unit(vector, "x") for vector in vectors])


def opened(tmp_path, vectors, factory="Flat"):
    build_dense(vectors, factory, tmp_path / "x.faiss")
    return DenseIndex(tmp_path / "x.faiss", "cpu")


def test_flat_is_exact(tmp_path):
    vectors, queries = random_units(500), random_units(40, seed=1) * 3
    rankings = opened(tmp_path, vectors).search(list(queries), 10)
    for query, ranking in zip(queries, rankings, strict=True):
        scores = vectors @ query / np.linalg.norm(query)
        assert [position for position, _ in ranking] == np.argsort(-scores)[:10].tolist()
        assert [score for _, score in ranking] == pytest.approx(np.sort(scores)[::-1][:10].tolist(), abs=1e-6)


def test_a_batch_gives_bit_for_bit_what_single_queries_give(tmp_path):
    index, queries = opened(tmp_path, random_units(3000, 384)), list(random_units(100, 384, seed=1))
    together = index.search(queries, 10)
    assert together == [index.search([query], 10)[0] for query in queries]
    assert together[:37] == index.search(queries[:37], 10)


def test_equal_scores_are_ordered_by_position(tmp_path):
    vectors = np.tile(random_units(1), (12, 1))
    assert [position for position, _ in opened(tmp_path, vectors).search([vectors[0]], 12)[0]] == list(range(12))


def test_fewer_vectors_than_k(tmp_path):
    assert len(opened(tmp_path, random_units(3)).search(list(random_units(2, seed=1)), 10)[1]) == 3


@pytest.mark.parametrize("factory", ["HNSW16", "IVF8,Flat", "IVF64,Flat", "SQ8", "PQ8x4"])
def test_other_factories(tmp_path, factory):
    vectors = random_units(700)
    rankings = opened(tmp_path, vectors, factory).search(list(vectors[:5]), 20)
    for number, ranking in enumerate(rankings):
        positions = [position for position, _ in ranking]
        assert -1 not in positions and number in positions and 1 <= len(positions) <= 20
        scores = [score for _, score in ranking]
        assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(("factory", "word"), [("Flatt", "Flatt"), ("IVF100,Flat", "clusters")])
def test_a_factory_that_does_not_work(tmp_path, factory, word):
    with pytest.raises(InputError, match=f"index.dense.factory '{factory}' with 5 vectors: .*{word}"):
        build_dense(random_units(5), factory, tmp_path / "x.faiss")


def test_a_query_of_another_dimension(tmp_path):
    with pytest.raises(RagkitError, match="8 dimensions, the index 32"):
        opened(tmp_path, random_units(3)).search([np.ones(8, dtype=np.float32)], 1)


def test_cuda_without_a_gpu_is_an_error(tmp_path):
    import faiss

    if faiss.get_num_gpus():
        pytest.skip("there is a GPU")
    build_dense(random_units(3), "Flat", tmp_path / "x.faiss")
    with pytest.raises(InputError, match="FAISS sees no GPU"):
        DenseIndex(tmp_path / "x.faiss", "cuda")
    assert DenseIndex(tmp_path / "x.faiss", "auto").device_used == "cpu"


def test_vectors_have_unit_length_and_zero_stays_zero():
    done = []
    vectors = embed_passages(FakeEncoder(), ["one two two", "", "three"], done.append)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 0, 1]) and vectors.dtype == np.float32
    assert done[-1] == 3


def test_not_a_number_is_refused():
    with pytest.raises(RagkitError, match=r"passage 1 .*NaN"):
        embed_passages(NanEncoder(), ["x"], lambda done: None)


def test_a_failing_passage_is_named():
    class Failing(FakeEncoder):
        def execute(self, op, batch):
            if any("bad" in request.args["text"] for request in batch):
                raise ValueError("cannot")
            return super().execute(op, batch)

    with pytest.raises(RagkitError, match="failed on passage 3: cannot"):
        embed_passages(Failing(), ["a", "b", "bad", "c"], lambda done: None)


def test_remote_encoders():
    texts = [f"text number {number}" for number in range(50)]
    done = []
    vectors = embed_passages(RemoteFake(), texts, done.append)
    assert (vectors == embed_passages(FakeEncoder(), texts, done.append)).all()
    assert done[:50] == list(range(1, 51))
    with pytest.raises(RagkitError, match="refused by the server"):
        embed_passages(RemoteFake(fail_on="number 7"), texts, done.append)


@pytest.mark.parametrize("first", ["torch", "faiss"])
def test_faiss_and_torch_live_together_in_any_order(first):
    second = {"torch": "faiss", "faiss": "torch"}[first]
    code = f"""
import threading, {first}, {second}
import numpy as np
index = faiss.IndexFlatIP(64); index.add(np.random.rand(2000, 64).astype('float32'))
def work():
    for _ in range(5):
        index.search(np.random.rand(50, 64).astype('float32'), 5); torch.rand(300, 300) @ torch.rand(300, 300)
threads = [threading.Thread(target=work) for _ in range(2)]
[t.start() for t in threads]; [t.join() for t in threads]
print('fine')
"""
    assert "fine" in subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120).stdout
