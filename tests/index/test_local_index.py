import asyncio
import subprocess
import sys

import pytest
from encoders_of_lists import FakeMultiVector, FakeSparse
from index_fakes import TEXTS, FakeEncoder, RemoteFake
from pydantic import ValidationError

from ragkit.engine.calls import Request
from ragkit.engine.registry import indexes
from ragkit.errors import InputError
from ragkit.index import DenseSettings, LearnedSparseSettings, LocalIndex, MultiVectorSettings


class ElsewhereEncoder(FakeEncoder):
    """The same encoder on another device."""

    def fingerprint(self):
        return "elsewhere"


def ids(passages):
    return [passage.id for passage in passages]


def test_dense(ready):
    found = asyncio.run(ready.search("dense", "wheat is sown in autumn", 3))
    assert found[0].id == "wheat" and len(found) == 3
    assert found[0].page_content == TEXTS["wheat"]
    assert found[0].metadata == {"source": "rows", "document": "wheat"}
    (hit,) = found[0].hits
    assert (hit.stage, hit.query, hit.rank) == ("dense", "wheat is sown in autumn", 1)
    assert hit.score == found[0].score and 0 < hit.score <= 1.000001


def test_sparse(ready):
    found = asyncio.run(ready.search("sparse", "wheats", 10))
    assert ids(found) == ["rust", "wheat"] or ids(found) == ["wheat", "rust"]
    assert [passage.hits[0].rank for passage in found] == [1, 2]
    assert [passage.hits[0].stage for passage in found] == ["sparse", "sparse"]


def test_fuse(ready):
    async def both():
        return [await ready.search("dense", "yellow rust", 3), await ready.search("sparse", "yellow rust", 3)]

    fused = ready.fuse(asyncio.run(both()), 2)
    assert fused[0].id == "rust" and len(fused[0].hits) == 2 and len(fused) == 2
    assert fused[0].score == pytest.approx(2 / 11)


@pytest.mark.parametrize(
    "change",
    [{"search": {"x": 1}}, {"precision": "float16"}, {"device": "cuda"}, {"encoder": ElsewhereEncoder()}],
)
def test_what_changes_rankings_changes_the_fingerprint_without_a_rebuild(ready, make, change):
    dense = DenseSettings(**{"encoder": FakeEncoder(), "device": "cpu"})
    known = make(dense=dense)
    other = make(dense=dense.model_copy(update=change))
    assert other.fingerprint() != known.fingerprint() and other.manifest() == known.manifest()


@pytest.mark.parametrize("name", ["learned_sparse", "multi_vector"])
def test_where_an_encoder_runs_is_in_the_fingerprint_of_every_part(name):
    kind, fake = {
        "learned_sparse": (LearnedSparseSettings, FakeSparse),
        "multi_vector": (MultiVectorSettings, FakeMultiVector),
    }[name]

    class Elsewhere(fake):
        def fingerprint(self):
            return "elsewhere"

    here, there = kind(encoder=fake()), kind(encoder=Elsewhere())
    assert here.built_with() == there.built_with() and here.searched_with() != there.searched_with()


def test_k_larger_than_the_corpus(ready):
    assert len(asyncio.run(ready.search("dense", "wheat", 100))) == len(TEXTS)
    assert len(asyncio.run(ready.search("sparse", "water", 100))) == 2


def test_a_batch_equals_single_searches_for_mixed_k(ready):
    ready.ensure_open()
    queries = ["wheat", "water in the soil", "", "grain", "unknownword", "summer"]
    sparse = [Request("sparse", {"query": query, "k": 1 + n % 3}, query) for n, query in enumerate(queries)]
    vectors = {query: asyncio.run(ready.dense.encoder.embed(query)) for query in queries}
    dense = [Request("dense", {"query": query, "k": 1 + n % 3}, vectors[query]) for n, query in enumerate(queries)]
    for batch in (sparse, dense):
        together = ready.execute(batch[0].op, batch)
        assert together == [ready.execute(batch[0].op, [request])[0] for request in batch]
        assert all(len(reply.value) <= request.args["k"] for reply, request in zip(together, batch, strict=True))


def test_parts_that_are_not_there(make):
    dense, sparse = make(sparse=None), make(dense=None)
    with pytest.raises(InputError, match="no sparse part: add 'sparse'"):
        asyncio.run(dense.search("sparse", "x", 1))
    with pytest.raises(InputError, match="no dense part: add 'dense'"):
        asyncio.run(sparse.search("dense", "x", 1))
    with pytest.raises(ValidationError, match="needs at least one part: dense, sparse"):
        make(dense=None, sparse=None)


@pytest.mark.parametrize("part", ["dense", "sparse"])
def test_one_part_alone(make, part):
    index = make(**{"dense" if part == "sparse" else "sparse": None})
    index.prepare(lambda *step: None)
    assert asyncio.run(index.search(part, "silo grain", 1))[0].id == "silo"


def test_one_passage(make, write_rows):
    write_rows({"only": "Bodenkunde für Anfänger 土壤 🌱"})
    index = make()
    index.prepare(lambda *step: None)
    assert ids(asyncio.run(index.search("sparse", "ANFÄNGER", 5))) == ["only"]
    assert ids(asyncio.run(index.search("dense", "anything", 5))) == ["only"]


def test_a_remote_encoder(make):
    index = make(dense=DenseSettings(encoder=RemoteFake()))
    index.prepare(lambda *step: None)
    assert asyncio.run(index.search("dense", "a silo keeps grain", 1))[0].id == "silo"


def test_it_can_be_used_after_close(ready):
    first = asyncio.run(ready.search("dense", "wheat", 3))
    ready.close()
    assert asyncio.run(ready.search("dense", "wheat", 3)) == first


@pytest.mark.parametrize(
    "values",
    [
        {"documents": (), "path": None},
        {"documents": 5},
        {"pathh": "x"},
        {"fusion": {"k": -1}},
        {"chunking": {"size": 0}},
    ],
)
def test_wrong_settings_are_refused(make, values):
    with pytest.raises(ValidationError):
        make(**values)
    with pytest.raises(ValidationError):
        DenseSettings(encoder=FakeEncoder(), device="tpu")


def test_yaml_values_become_settings():
    index = LocalIndex(
        **{
            "documents": ["a.txt"],
            "sparse": {"method": "lucene", "stemmer": "english"},
            "path": "x/y",
            "fusion": {"k": 3},
        }
    )
    assert index.sparse.k1 == 1.5 and index.fusion.k == 3 and str(index.folder) == "x/y"


def test_it_is_registered():
    assert LocalIndex in indexes._parts.values() and indexes._parts["local"] is LocalIndex


@pytest.mark.parametrize("mode", ["dense", "sparse", "hybrid"])
def test_langchain_retriever(ready, mode):
    retriever = ready.as_retriever(mode, k=2)
    assert retriever.invoke("silo grain")[0].id == "silo"
    assert [found[0].id for found in retriever.batch(["silo grain", "yellow rust"] * 4)] == ["silo", "rust"] * 4

    async def in_a_loop():
        assert retriever.invoke("silo grain")[0].id == "silo"
        return await retriever.ainvoke("silo grain")

    assert asyncio.run(in_a_loop())[0].id == "silo"


def test_importing_loads_nothing_heavy():
    heavy = {"torch", "faiss", "bm25s", "pymupdf", "fitz", "bs4", "Stemmer", "scipy", "langchain_text_splitters"}
    code = f"import sys, ragkit.index, ragkit.documents; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
