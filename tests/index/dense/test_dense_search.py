"""What rankings hold: exactness, metrics, filters, and independence of batch and length."""

import subprocess
import sys

import numpy as np
import pytest
from dense_fakes import build, clustered, positions, unit_rows

from ragkit.errors import InputError, RagkitError


@pytest.fixture
def matrix_products():
    """Let FAISS multiply matrices for batches of 20 queries or more, which it does from some number on."""
    import faiss

    usual = faiss.cvar.distance_compute_blas_threshold

    def use(products):
        faiss.cvar.distance_compute_blas_threshold = 20 if products else 10**6

    yield use
    faiss.cvar.distance_compute_blas_threshold = usual


def test_flat_is_exact(tmp_path):
    vectors, queries = clustered(500), clustered(40, seed=1) * 3
    rankings = build(tmp_path, vectors).open().search(list(queries), 10)
    for query, ranking in zip(queries, rankings, strict=True):
        scores = unit_rows(vectors) @ query / np.linalg.norm(query)
        assert positions(ranking) == np.argsort(-scores)[:10].tolist()
        assert [score for _, score in ranking] == pytest.approx(np.sort(scores)[::-1][:10].tolist(), abs=1e-6)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        # The query is (2, 0); the passages are (1, 0), (3, 3), (0, 1), (-1, 0).
        ("cosine", [(0, 1.0), (1, 0.5**0.5), (2, 0.0), (3, -1.0)]),
        ("inner_product", [(1, 6.0), (0, 2.0), (2, 0.0), (3, -2.0)]),
        ("l2", [(0, -1.0), (2, -5.0), (3, -9.0), (1, -10.0)]),
    ],
)
@pytest.mark.parametrize("factory", ["Flat", "HNSW4", "SQfp16"])
def test_metrics_by_hand(tmp_path, metric, expected, factory):
    vectors = np.array([[1, 0], [3, 3], [0, 1], [-1, 0]], dtype=np.float32)
    index = build(tmp_path, vectors, metric=metric, factory=factory).open()
    (ranking,) = index.search([np.array([2, 0], dtype=np.float32)], 4)
    assert positions(ranking) == positions(expected)
    assert [score for _, score in ranking] == pytest.approx([score for _, score in expected], abs=2e-3)


@pytest.mark.parametrize("metric", ["cosine", "inner_product", "l2"])
@pytest.mark.parametrize("filtered", [False, True])
@pytest.mark.parametrize("products", [False, True])
def test_a_batch_gives_bit_for_bit_what_single_queries_give(tmp_path, metric, filtered, products, matrix_products):
    matrix_products(products)
    index = build(tmp_path, clustered(3000, 384), metric=metric).open()
    queries = list(clustered(100, 384, seed=1))
    allowed = np.random.default_rng(0).random(3000) < 0.95 if filtered else None
    together = index.search(queries, 10, allowed)
    assert together == [index.search([query], 10, allowed)[0] for query in queries]
    assert together[:37] == index.search(queries[:37], 10, allowed)
    longer = index.search(queries, 60, allowed)
    assert together == [ranking[:10] for ranking in longer]


@pytest.mark.parametrize("factory", ["IVF16,Flat", "SQ8", "HNSW16", "PCA16,SQ8", "OPQ8,IVF16,PQ8x4np"])
def test_other_kinds_do_not_depend_on_the_batch_either(tmp_path, factory):
    index = build(
        tmp_path, clustered(3000), factory=factory, search={"efSearch": 64} if "HNSW" in factory else {}
    ).open()
    queries = list(clustered(60, seed=1))
    together = index.search(queries, 20)
    assert together == [index.search([query], 20)[0] for query in queries]
    assert [ranking[:5] for ranking in together] == index.search(queries, 5)


def test_equal_scores_are_ordered_by_position_and_the_first_of_many_are_taken(tmp_path):
    index = build(tmp_path, np.tile(clustered(1), (900, 1))).open()
    assert positions(index.search([clustered(1)[0]], 12)[0]) == list(range(12))
    allowed = np.arange(900) % 3 == 2
    assert positions(index.search([clustered(1)[0]], 5, allowed)[0]) == [2, 5, 8, 11, 14]


@pytest.mark.parametrize("factory", ["PQ8x4np", "SQ8", "IVF2,Flat"])
def test_ties_of_other_kinds(tmp_path, factory):
    vectors = np.concatenate([np.tile(clustered(1), (300, 1)), clustered(300, seed=5)])
    index = build(tmp_path, vectors, factory=factory).open()
    assert positions(index.search([clustered(1)[0]], 7)[0]) == list(range(7))


def test_fewer_vectors_than_k(tmp_path):
    index = build(tmp_path, clustered(3)).open()
    assert len(index.search(list(clustered(2, seed=1)), 10)[1]) == 3
    assert index.search([clustered(1)[0]], 10, np.zeros(3, dtype=bool)) == [[]]
    assert index.search([], 10) == []


def test_zero_vectors(tmp_path):
    vectors = clustered(5)
    vectors[2] = 0
    (ranking,) = build(tmp_path, vectors).open().search([np.zeros(32, dtype=np.float32)], 5)
    assert ranking == [(position, 0.0) for position in range(5)]


def test_a_query_of_another_dimension_or_with_nan(tmp_path):
    index = build(tmp_path, clustered(3)).open()
    with pytest.raises(RagkitError, match="8 dimensions, the index 32"):
        index.search([np.ones(8, dtype=np.float32)], 1)
    with pytest.raises(RagkitError, match=r"the vector of a query holds NaN"):
        index.search([np.full(32, np.nan, dtype=np.float32)], 1)
    with pytest.raises(RagkitError, match="the filter is for 2 passages, the index holds 3"):
        index.search([np.ones(32, dtype=np.float32)], 1, np.ones(2, dtype=bool))


def test_devices_without_a_gpu(tmp_path):
    import faiss
    import torch

    if faiss.get_num_gpus() or torch.cuda.is_available():
        pytest.skip("there is a GPU")
    part = build(tmp_path, clustered(3))
    with pytest.raises(InputError, match=r"device is cuda, but FAISS sees no GPU and torch .* finds no CUDA device"):
        part.open(device="cuda")
    with pytest.raises(InputError, match="precision is float16, which is for GPUs"):
        part.open(precision="float16")
    index = part.open(device="auto")
    assert (index.device_used, index.precision_used) == ("cpu", "float32")
    with pytest.raises(InputError, match="torch searches Flat indexes only"):
        build(tmp_path / "b", clustered(30), factory="HNSW4").open(device="cuda")


def test_float16_is_refused_for_vectors_that_it_cannot_hold(tmp_path):
    part = build(tmp_path, clustered(3) * 1e5, metric="inner_product")
    with pytest.raises(InputError, match="float16, which ends at 65504"):
        part.open(precision="float16")


@pytest.mark.parametrize(
    ("factory", "search", "message"),
    [
        ("IVF8,Flat", {"nprob": 4}, r"search.nprob: the factory 'IVF8,Flat' has no such parameter, did you mean "
         r"'nprobe'\? \(it has: nprobe\)"),
        ("Flat", {"efSearch": 4}, r"search.efSearch: .* \(it has: none\)"),
        ("HNSW8", {"nprobe": 4}, r"it has: efSearch"),
        ("IVF8,Flat", {"nprobe": 2.5}, r"search.nprobe is 2.5, but has to be a whole number"),
    ],
)  # fmt: skip
def test_unknown_search_parameters(tmp_path, factory, search, message):
    with pytest.raises(InputError, match=message):
        build(tmp_path, clustered(400), factory=factory).open(search=search)


def test_search_parameters_work(tmp_path):
    vectors, queries = clustered(3000, centres=3000), list(clustered(50, seed=1))
    exact = [set(positions(ranking)) for ranking in build(tmp_path / "flat", vectors).open().search(queries, 10)]

    def recall(part, **search):
        found = part.open(search=search).search(queries, 10)
        return np.mean([len(set(positions(a)) & b) / 10 for a, b in zip(found, exact, strict=True)])

    part = build(tmp_path / "ivf", vectors, factory="IVF64,Flat")
    assert recall(part, nprobe=1) < recall(part, nprobe=8) < recall(part, nprobe=64) == 1
    graph = build(tmp_path / "hnsw", vectors, factory="HNSW4")
    assert recall(graph, efSearch=4) < recall(graph, efSearch=400)


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
