import asyncio

import pytest
from index_fakes import FakeEncoder
from langchain_core.documents import Document

from ragkit.errors import InputError
from ragkit.index import DenseSettings, Filter, LocalIndex, SparseSettings
from ragkit.index.vectorstore import IndexVectorStore

DOCUMENTS = [
    Document(id="silo", page_content="A silo keeps grain dry.", metadata={"kind": "storage"}),
    Document(id="rust", page_content="Yellow rust is a disease of wheat.", metadata={"kind": "disease"}),
]


@pytest.fixture
def store(tmp_path):
    index = LocalIndex(
        documents=(), path=tmp_path / "x", dense=DenseSettings(encoder=FakeEncoder()), sparse=SparseSettings()
    )
    made = index.as_vectorstore()
    assert made.add_documents(DOCUMENTS) == ["silo", "rust"]
    return made


@pytest.mark.parametrize("mode", ["hybrid", "dense", "sparse"])
def test_searches_are_those_of_the_index(store, mode):
    other = IndexVectorStore(store.index, mode)
    ((best, score),) = other.similarity_search_with_score("grain silo", 1)
    assert best.metadata["document"] == "silo" and score == best.score > 0
    assert other.similarity_search("grain silo", 1) == [best]

    async def in_a_loop():
        assert other.similarity_search("grain silo", 1) == [best]
        return await other.asimilarity_search("grain silo", 1)

    assert asyncio.run(in_a_loop()) == [best]


def test_filters_and_unknown_arguments(store):
    where = Filter.parse({"field": "kind", "equals": "disease"}, "where")
    assert [found.id for found in store.similarity_search("grain silo wheat", where=where)] == ["rust"]
    with pytest.raises(InputError, match="does not know filter"):
        store.similarity_search("x", filter={})


def test_documents_come_and_go(store):
    store.add_texts(["Maize needs warm soil."], ids=["maize"])
    assert store.similarity_search("maize soil", 1)[0].metadata["document"] == "maize"
    assert store.delete(["maize"]) is True
    assert "maize" not in [found.metadata["document"] for found in store.similarity_search("maize soil", 9)]
    with pytest.raises(InputError):
        store.delete(["maize"])
    with pytest.raises(InputError, match="name the documents"):
        store.delete()
    with pytest.raises(InputError, match="has no id"):
        store.add_documents([Document(page_content="x")])
    with pytest.raises(InputError, match="LocalIndex"):
        IndexVectorStore.from_texts(["x"], None)


def test_it_is_a_retriever_too(store):
    retriever = store.as_retriever(search_kwargs={"k": 1})
    assert [found[0].metadata["document"] for found in retriever.batch(["grain silo", "yellow rust"])] == [
        "silo",
        "rust",
    ]


def test_an_index_of_files_is_read_only(ready):
    store = IndexVectorStore(ready)
    assert store.similarity_search("silo grain", 1)[0].id == "silo"
    with pytest.raises(InputError, match="come from files"):
        store.add_documents(DOCUMENTS)


def test_filters_as_mappings_ids_and_what_is_not_offered(store):
    where = {"field": "kind", "equals": "disease"}
    (found,) = store.similarity_search("grain silo wheat", where=where)
    assert found.id == "rust"
    with pytest.raises(InputError, match=r"where.feld: unknown key, did you mean 'field'\?"):
        store.similarity_search("wheat", where={"feld": "kind", "equals": "x"})
    assert [passage.id for passage in store.get_by_ids(["rust", "no such", "silo"])] == ["rust", "silo"]
    with pytest.raises(InputError, match="maximal marginal relevance"):
        store.as_retriever(search_type="mmr").invoke("wheat")
    with pytest.raises(InputError, match="no relevance between 0 and 1"):
        store.similarity_search_with_relevance_scores("wheat")
    with pytest.raises(InputError, match="takes a list of ids"):
        store.delete("ab")
