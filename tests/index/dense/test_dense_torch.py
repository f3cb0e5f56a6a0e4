"""The torch backend on CPU tensors: the results are those of FAISS. On CUDA it has not been run."""

import numpy as np
import pytest
from dense_fakes import build, clustered, positions

from ragkit.errors import InputError
from ragkit.index.dense import torch_search
from ragkit.index.dense.torch_search import TorchSearch


def with_torch(part, precision="float32", memory=None):
    index = part.open()
    index._backend = TorchSearch(index._vectors, part.settings.metric, "cpu", precision, memory)
    return index


@pytest.mark.parametrize("metric", ["cosine", "inner_product", "l2"])
@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("memory", [None, 100_000])
def test_the_results_are_those_of_faiss(tmp_path, metric, precision, memory):
    part = build(tmp_path, np.concatenate([clustered(3000), clustered(200), clustered(1)]), metric=metric)
    ours, faiss = with_torch(part, precision, memory), part.open()
    assert ours._backend.streams == (memory is not None)
    assert (ours.device_used, ours.precision_used) == ("cpu, torch", precision)
    queries = list(clustered(40, seed=1))
    some = np.random.default_rng(0).random(3201) < 0.3
    few = np.arange(3201) % 500 == 7
    for k, allowed in [(1, None), (10, None), (10, some), (400, None), (10, few), (5000, None)]:
        assert ours.search(queries, k, allowed) == faiss.search(queries, k, allowed)
    assert len(ours.search(queries, 5000)[0]) == 3201


def test_its_own_scores_are_close_to_faiss(tmp_path):
    part = build(tmp_path, clustered(2000), metric="l2")
    queries = clustered(30, seed=1)
    expected, places = part.open()._backend.find(queries, 10, None)
    scores, found = with_torch(part, memory=100_000)._backend.find(queries, 10, None)
    assert (found == places).mean() > 0.99
    assert scores == pytest.approx(expected, rel=1e-4)


def test_blocks_and_batches_are_bounded_by_memory(tmp_path, monkeypatch):
    index = with_torch(build(tmp_path, clustered(2000)), memory=60_000)
    sizes = []
    compare = TorchSearch._compare

    def watched(self, queries, block):
        sizes.append(4 * len(queries) * len(block))
        assert block.element_size() * block.numel() <= 60_000 * 0.7
        return compare(self, queries, block)

    monkeypatch.setattr(TorchSearch, "_compare", watched)
    index.search(list(clustered(100, seed=1)), 5)
    assert max(sizes) <= 6000 and len(sizes) > 100


def test_too_little_memory(tmp_path):
    with pytest.raises(InputError, match="100 bytes of free memory on cpu are too few"):
        with_torch(build(tmp_path, clustered(50)), memory=100)


def test_it_is_taken_when_faiss_has_no_gpu_but_torch_has(tmp_path, monkeypatch):
    import faiss

    if faiss.get_num_gpus():
        pytest.skip("FAISS has a GPU")
    made = []

    class OnCpu(TorchSearch):
        def __init__(self, vectors, metric, device, precision):
            made.append(device)
            super().__init__(vectors, metric, "cpu", precision)

    part = build(tmp_path, clustered(50))
    monkeypatch.setattr(torch_search, "cuda_problem", lambda: None)
    monkeypatch.setattr(torch_search, "TorchSearch", OnCpu)
    monkeypatch.setattr("ragkit.index.dense.index.resolve_device", lambda device: "cuda")
    for device in ("cuda", "auto"):
        index = part.open(device=device, precision="float16")
        assert index.device_used == "cpu, torch" and index.precision_used == "float16"
        assert 0 in positions(index.search([clustered(50)[0]], 1)[0])
    assert made == ["cuda", "cuda"]
    assert part.open(device="cpu").device_used == "cpu"
    graph = build(tmp_path / "graph", clustered(50), factory="HNSW4")
    assert graph.open(device="auto").device_used == "cpu"
