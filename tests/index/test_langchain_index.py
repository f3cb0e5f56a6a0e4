import asyncio
import datetime
import json

import numpy as np
import pytest
from index_fakes import TEXTS, FakeEncoder, hashed
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import InMemoryVectorStore
from pydantic import ValidationError

from ragkit.engine.registry import indexes
from ragkit.errors import InputError, RagkitError
from ragkit.index import Filter, LangChainRetriever, LangChainStore
from ragkit.pipeline import Pipeline

IN_MEMORY = "langchain_core.vectorstores.InMemoryVectorStore"


class Hashes(Embeddings):
    def embed_query(self, text):
        return hashed(text, 64).tolist()

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]


class Distances(InMemoryVectorStore):
    async def asimilarity_search_with_score(self, query, k=4, **kwargs):
        found = await super().asimilarity_search_with_score(query, k, **kwargs)
        return [(document, 1 - score) for document, score in found]

    def _select_relevance_score_fn(self):
        return lambda distance: 1 - distance / 2


class Flaky(InMemoryVectorStore):
    failures = 2

    async def asimilarity_search_with_score(self, query, k=4, **kwargs):
        if self.failures:
            self.failures -= 1
            raise ConnectionError("lost")
        return await super().asimilarity_search_with_score(query, k, **kwargs)


class Words(BaseRetriever):
    def _get_relevant_documents(self, query, *, run_manager=None):
        words = set(query.split())
        return [Document(id=key, page_content=text) for key, text in TEXTS.items() if words & set(text.split())]


def filled(kind=InMemoryVectorStore, **metadata):
    store = kind(Hashes())
    documents = [Document(id=key, page_content=text, metadata=metadata) for key, text in TEXTS.items()]
    store.add_documents(documents)
    return store


def search(index, query="A silo keeps grain", k=3, part="dense", **options):
    return asyncio.run(index.search(part, query, k, **options))


def test_ids_scores_and_texts_are_those_of_the_store():
    store = filled(source="farm", when=datetime.date(2020, 5, 1))
    found = search(LangChainStore.wrap(store, "farm", scores="similarity"))
    expected = store.similarity_search_with_score("A silo keeps grain", 3)
    assert [(passage.id, passage.page_content) for passage in found] == [(d.id, d.page_content) for d, _ in expected]
    assert [passage.score for passage in found] == pytest.approx([score for _, score in expected])
    assert found[0].id == "silo" and found[0].metadata == {"source": "farm", "when": "2020-05-01"}
    assert [passage.hits[0][:3] for passage in found] == [("dense", "A silo keeps grain", rank) for rank in (1, 2, 3)]


def test_distances_are_turned_round_and_relevance_is_asked_for():
    store = filled(Distances)
    by_distance = search(LangChainStore.wrap(store, "farm", scores="distance"))
    by_relevance = search(LangChainStore.wrap(store, "farm"))
    assert [passage.id for passage in by_distance] == [passage.id for passage in by_relevance]
    for one, other in zip(by_distance, by_relevance, strict=True):
        assert one.score <= 0 <= other.score <= 1 and other.score == pytest.approx(1 + one.score / 2)


def test_a_store_without_relevance_scores_says_what_to_set():
    with pytest.raises(InputError, match="set 'scores' to similarity"):
        search(LangChainStore.wrap(filled(), "farm"))


def test_transient_failures_are_tried_again():
    found = search(LangChainStore.wrap(filled(Flaky), "farm", scores="similarity", backoff=0))
    assert found[0].id == "silo"
    with pytest.raises(ConnectionError):
        search(LangChainStore.wrap(filled(Flaky), "farm", scores="similarity", backoff=0, retries=1))


def test_ids_from_a_field():
    store = InMemoryVectorStore(Hashes())
    store.add_documents([Document(id="x", page_content="grain", metadata={"number": 7})])
    assert search(LangChainStore.wrap(store, "farm", scores="similarity", id_field="number"), k=1)[0].id == "7"
    with pytest.raises(InputError, match="without the metadata field 'key'"):
        search(LangChainStore.wrap(store, "farm", scores="similarity", id_field="key"), k=1)


def test_other_parts_and_filters_are_refused():
    index = LangChainStore.wrap(filled(), "farm", scores="similarity")
    assert index.parts == ("dense",)
    with pytest.raises(InputError, match="no sparse part"):
        search(index, part="sparse")
    with pytest.raises(InputError, match="no sparse part"):
        asyncio.run(index.search_hybrid("x", 1, parts=("dense", "sparse")))
    with pytest.raises(InputError, match="cannot be filtered"):
        search(index, where=Filter.parse({"field": "source", "equals": "farm"}, "where"))


def test_options_go_to_the_store():
    options = {"filter": lambda document: document.id == "rust"}
    index = LangChainStore.wrap(filled(), "farm", scores="similarity", options=options)
    assert [passage.id for passage in search(index)] == ["rust"]


def test_the_encoder_of_the_pipeline_makes_the_vectors():
    class Vectors(InMemoryVectorStore):
        def __init__(self, embedding, name):
            super().__init__(embedding)
            for key, text in TEXTS.items():
                vector = hashed(text, 64).tolist()
                self.store[key] = {"id": key, "vector": vector, "text": text, "metadata": {}}

    index = LangChainStore(**{"class": IN_MEMORY, "scores": "similarity", "encoder": FakeEncoder()})
    made = Vectors(index.arguments()["embedding"], "farm")
    index._wrapped = made
    expected = search(LangChainStore.wrap(filled(), "farm", scores="similarity"))
    found = search(index)
    assert [passage.id for passage in found] == [passage.id for passage in expected]
    assert np.allclose([passage.score for passage in found], [passage.score for passage in expected])
    with pytest.raises(Exception, match="only searched"):
        made.add_texts(["x"])

    async def at_once():
        return await asyncio.gather(*(index.search("dense", "A silo keeps grain", k) for k in (1, 2, 3)))

    assert [len(found) for found in asyncio.run(at_once())] == [1, 2, 3]
    assert made.embeddings.known == {}  # vectors of questions that are answered take up no room


def test_a_store_that_is_made_already_has_its_own_encoder():
    with pytest.raises(InputError, match="encoder"):
        LangChainStore.wrap(filled(), "farm", encoder=FakeEncoder())


def test_scores_that_are_no_numbers_are_refused():
    class Broken(InMemoryVectorStore):
        async def asimilarity_search_with_score(self, query, k=4, **kwargs):
            return [(Document(id="x", page_content="x"), float("nan"))]

    with pytest.raises(RagkitError, match="no number"):
        search(LangChainStore.wrap(filled(Broken), "farm", scores="similarity"))


def test_fingerprints():
    store = filled()
    wraps = [
        LangChainStore.wrap(store, "a", scores="similarity"),
        LangChainStore.wrap(store, "b", scores="similarity"),
        LangChainStore.wrap(store, "a", scores="distance"),
        LangChainStore.wrap(store, "a", scores="similarity", state="monday"),
        LangChainStore.wrap(store, "a", scores="similarity", options={"namespace": "x"}),
        LangChainStore.wrap(store, "a", scores="similarity", options={"filter": {"key": "x"}}),
        LangChainStore.wrap(store, "a", scores="similarity", options={"filter": {"key": "y"}}),
        LangChainRetriever.wrap(Words(), "a"),
    ]
    assert len({index.fingerprint() for index in wraps}) == len(wraps)
    secret = LangChainStore(**{"class": IN_MEMORY, "kwargs": {"api_key": "sesame", "url": "http://x"}})
    assert "sesame" not in secret.fingerprint() and "http://x" in secret.fingerprint()


def test_retrievers():
    index = LangChainRetriever.wrap(Words(), "words")
    found = asyncio.run(index.search_hybrid("insects. wheat", 2))
    assert [passage.id for passage in found] == ["rust", "silo"] and [passage.score for passage in found] == [1, 0.5]
    assert asyncio.run(index.search("retriever", "zebra", 2)) == ()
    fused = index.fuse([found, found[1:]], 2)
    assert [passage.id for passage in fused] == ["silo", "rust"]


def test_classes_are_checked():
    with pytest.raises(ValidationError, match="--allow-code"):
        LangChainStore(**{"class": "os.path.join"})
    with pytest.raises(InputError, match="is not a langchain VectorStore"):
        LangChainStore.wrap(Words(), "x")
    with pytest.raises(InputError, match="is not a BaseRetriever"):
        search(LangChainRetriever(**{"class": IN_MEMORY}), part="retriever")
    with pytest.raises(InputError, match="refuses its settings"):
        search(LangChainStore(**{"class": IN_MEMORY, "kwargs": {"url": "x"}}))


def test_it_can_be_named_in_a_pipeline(tmp_path):
    assert indexes["langchain"] is LangChainStore and indexes["langchain-retriever"] is LangChainRetriever
    path = tmp_path / "x.yaml"
    path.write_text(
        json.dumps(
            {
                "name": "x",
                "models": {"m": {"provider": "hash"}},
                "index": {"type": "langchain", "class": IN_MEMORY, "encoder": "m", "scores": "similarity"},
                "pipeline": [{"retrieve.dense": {"k": 2}}],
            }
        )
    )
    pipeline = Pipeline.load(path)
    assert isinstance(pipeline.index, LangChainStore) and pipeline.invoke("What is a silo?").documents == ()
