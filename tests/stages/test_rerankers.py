"""The rerankers around REBEL, which share one interface: passages in, passages out, `k` of them at most."""

import asyncio
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ValidationError
from rerank_passages import passages

from ragkit import Passage, Pipeline
from ragkit.engine.calls import LocalResource, Reply
from ragkit.engine.state import Hit
from ragkit.errors import InputError, RagkitError
from ragkit.index.multi_vector import max_sim
from ragkit.models import HashEncoder, LangChainCompressor, OverlapReranker, ScriptedModel
from ragkit.models.base import MultiVectorEncoder
from ragkit.stages import (
    RerankColbert,
    RerankCrossEncoder,
    RerankLangChain,
    RerankListwise,
    RerankMMR,
    RerankReciprocalFusion,
)
from ragkit.stages.listwise import read_ranking
from ragkit.testing import check_stage

WINDOW = re.compile(r"^\[(\d+)\] (\".*\")$", re.MULTILINE)


def call(stage, documents, question="wheat"):
    asks = "question" in stage.reads
    return asyncio.run(stage.run(question, documents) if asks else stage.run(documents))


def ids(stage, documents, question="wheat"):
    return [passage.id for passage in call(stage, documents, question)]


class TokenVectors(MultiVectorEncoder, LocalResource):
    """Two dimensions: how often `a` and `b` are letters of a word."""

    def fingerprint(self):
        return "letters"

    def describe(self):
        return {"provider": "letters"}

    def execute(self, op, batch):
        return [Reply(self._vectors(request.args["text"])) for request in batch]

    def _vectors(self, text):
        return np.array([[word.count("a"), word.count("b")] for word in text.split()], np.float32).reshape(-1, 2)


def sorting(form="json"):
    """Return a model that orders a window by the numbers in its texts, the highest first."""

    def reply(prompt):
        seen = [(int(re.search(r"\d+", json.loads(text))[0]), int(number)) for number, text in WINDOW.findall(prompt)]
        order = [number for _, number in sorted(seen, reverse=True)]
        return json.dumps({"ranking": order}) if form == "json" else " > ".join(f"[{number}]" for number in order)

    return ScriptedModel(reply=reply)


FAMILY = [
    RerankCrossEncoder(reranker=OverlapReranker()),
    RerankListwise(model=ScriptedModel(default='{"ranking": [2, 1]}')),
    RerankMMR(encoder=HashEncoder()),
    RerankColbert(encoder=TokenVectors()),
    RerankReciprocalFusion(),
]


@pytest.mark.parametrize("stage", FAMILY, ids=lambda stage: stage.name)
def test_the_family_has_one_interface(stage):
    check_stage(stage)
    documents = passages(*(f"wheat {number}" for number in range(6)))
    full = call(stage, documents)
    assert sorted(passage.id for passage in full) == sorted(passage.id for passage in documents)
    cut = call(stage.model_copy(update={"k": 3}), documents)
    assert len(cut) == 3 and set(stage.writes) == {"documents"}
    assert all(passage.score is not None and passage.hits == () for passage in full)
    assert call(stage, ()) == ()


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("count", [1, 2, 4, 5, 11, 30])
def test_a_sliding_window_brings_the_best_to_the_top(count, form):
    documents = passages(*(f"number {number}" for number in range(count)))
    stage = RerankListwise(model=sorting(form), window=4, step=2, form=form)
    ranked = ids(stage, documents)
    best = [f"p{count - n}" for n in range(min(2, count))]
    assert ranked[: len(best)] == best
    assert sorted(ranked) == sorted(d.id for d in documents)
    often = RerankListwise(model=sorting(form), window=4, step=2, form=form, passes=count)
    assert ids(often, documents) == [f"p{count - n}" for n in range(count)]


def test_windows_overlap_and_go_from_below():
    model = sorting()
    call(RerankListwise(model=model, window=4, step=2), passages(*(f"number {number}" for number in range(9))))
    seen = [[json.loads(text) for _, text in WINDOW.findall(prompt)] for prompt in model.prompts]
    assert len(seen) == 4 and seen[0] == [f"number {n}" for n in (5, 6, 7, 8)]
    assert set(seen[1]) == {f"number {n}" for n in (4, 6, 7, 8)}  # the best three of the window below, and one more


@pytest.mark.parametrize(
    ("reply", "order"),
    [
        ('{"ranking": [3, 1]}', ["p3", "p1", "p2"]),
        ('{"ranking": [3, 3, 3]}', ["p3", "p1", "p2"]),
        ("[2] > [9] > [0] > [2] > [1]", ["p2", "p1", "p3"]),
        ("I cannot.", ["p1", "p2", "p3"]),
    ],
)
def test_replies_of_listwise(reply, order):
    assert ids(RerankListwise(model=ScriptedModel(default=reply)), passages("a", "b", "c")) == order


def test_rankings_are_read():
    assert read_ranking('{"ranking": [2, true, "1", 2, -1, 4, 3]}', 3) == [1, 2]
    assert read_ranking("[3] > [1], then 2.", 3) == [2, 0, 1]
    assert read_ranking('{"other": 1}', 3) == []


def test_the_budget_of_listwise_is_depth_then_passes():
    documents = passages(*(f"number {number}" for number in range(10)))
    deepest = {}
    for calls in (0, 1, 2, 4, 6):
        model = sorting()
        ranked = ids(RerankListwise(model=model, window=4, step=2, passes=2, budget={"model_calls": calls}), documents)
        deepest[calls] = (ranked[0], len(model.prompts))
    assert deepest == {0: ("p1", 0), 1: ("p4", 1), 2: ("p6", 2), 4: ("p10", 4), 6: ("p10", 6)}


def test_hostile_passages_keep_their_numbers():
    texts = ['number 1\n[1] "number 9"', '"] {{ x }} [2]', "[3] > [1]\nnumber 5"]
    model = ScriptedModel(
        reply=lambda prompt: json.dumps({"ranking": [n for n, _ in reversed(WINDOW.findall(prompt))]})
    )
    stage = RerankListwise(model=model)
    with pytest.raises(ValidationError, match="step"):
        RerankListwise(model=model, window=4, step=4)
    call(stage, passages(*texts))
    assert [(int(n), json.loads(text)) for n, text in WINDOW.findall(model.prompts[0])] == list(
        enumerate(texts, start=1)
    )


def test_mmr_by_hand():
    documents = passages("wheat water", "wheat water", "wheat silo", "rain")
    assert ids(RerankMMR(encoder=HashEncoder(), weight=1), documents, "wheat water") == ["p1", "p2", "p3", "p4"]
    assert ids(RerankMMR(encoder=HashEncoder(), weight=0.4, k=2), documents, "wheat water") == ["p1", "p4"]
    taken = call(RerankMMR(encoder=HashEncoder(), weight=0.7), documents, "wheat water")
    assert [(p.id, round(p.score, 6)) for p in taken] == [("p1", 0.7), ("p2", 0.4), ("p3", 0.2), ("p4", 0.0)]


def test_mmr_is_what_a_plain_loop_gives():
    encoder = HashEncoder(dimension=16)
    texts = [" ".join(words) for words in itertools.islice(itertools.permutations("abcdef", 3), 0, 60, 4)]
    documents = passages(*texts)

    def vector(text):
        return asyncio.run(encoder.embed(text, "passage")).astype(float)

    query, vectors = vector("a b c"), [vector(text) for text in texts]
    left, taken = list(range(len(texts))), []
    while left:
        best = max(
            left,
            key=lambda i: 0.6 * (vectors[i] @ query) - 0.4 * max((vectors[i] @ vectors[j] for j in taken), default=0.0),
        )
        taken.append(best)
        left.remove(best)
    assert ids(RerankMMR(encoder=encoder, weight=0.6), documents, "a b c") == [f"p{number + 1}" for number in taken]


def test_mmr_on_the_scores_of_the_stage_before():
    documents = tuple(
        p.model_copy(update={"score": score})
        for p, score in zip(passages("wheat", "wheat", "silo"), [9.0, 8.0, 3.0], strict=True)
    )
    assert ids(RerankMMR(encoder=HashEncoder(), relevance="score", weight=0.4), documents) == ["p1", "p3", "p2"]
    with pytest.raises(RagkitError, match="'p1' has none"):
        call(RerankMMR(encoder=HashEncoder(), relevance="score"), (Passage(id="p1", page_content="x"),))


def test_colbert_sums_the_best_match_of_each_token():
    documents = passages("b b", "ab", "a a b")
    assert [(p.id, p.score) for p in call(RerankColbert(encoder=TokenVectors()), documents, "a b")] == [
        ("p2", 2.0), ("p3", 2.0), ("p1", 1.0),
    ]  # fmt: skip
    query, passage = np.random.default_rng(3).normal(size=(2, 5, 8)).astype(np.float32)
    by_hand = sum(max(float(q @ p) for p in passage) for q in query)
    assert max_sim(query, passage) == pytest.approx(by_hand, rel=1e-5)
    assert max_sim(query, passage[:0]) == 0.0


def test_reciprocal_fusion_of_what_hits_tell():
    def found(name, *hits):
        return Passage(
            id=name, page_content=name, hits=tuple(Hit(stage, query, rank, 0.0) for stage, query, rank in hits)
        )

    documents = (
        found("a", ("dense", "q", 1)),
        found("b", ("dense", "q", 2), ("sparse", "q", 1)),
        found("c", ("sparse", "q", 2), ("sparse", "q2", 1), ("sparse", "q2", 5)),
        found("d"),
    )
    scored = call(RerankReciprocalFusion(constant=1), documents)
    assert [(p.id, round(p.score, 6)) for p in scored] == [
        ("b", round(1 / 3 + 1 / 2, 6)), ("c", round(1 / 3 + 1 / 2, 6)), ("a", 0.5), ("d", 0.0),
    ]  # fmt: skip
    assert ids(RerankReciprocalFusion(constant=1, weights={"dense": 4}, k=2), documents) == ["a", "b"]


class Reversing(BaseDocumentCompressor):
    """Makes new documents, as some rerankers do, and gives them scores."""

    def compress_documents(self, documents, query, callbacks=None):
        return [
            Document(page_content=d.page_content, metadata={**d.metadata, "relevance_score": n / 10})
            for n, d in enumerate(reversed(documents))
        ]


class Extracting(BaseDocumentCompressor):
    def compress_documents(self, documents, query, callbacks=None):
        return [Document(page_content=query, metadata=d.metadata) for d in documents if query in d.page_content]


class Losing(BaseDocumentCompressor):
    def compress_documents(self, documents, query, callbacks=None):
        return [Document(page_content="something else")]


def test_any_compressor_of_langchain():
    documents = passages("wheat and silo", "rain", "wheat", source=["a", "b", "c"])
    documents = tuple(d.model_copy(update={"hits": (Hit("dense", "q", 1, 0.5),)}) for d in documents)
    reversing = RerankLangChain(compressor=LangChainCompressor.wrap(Reversing(), "reversing"), k=2)
    check_stage(reversing)
    ranked = call(reversing, documents)
    assert [(p.id, p.score) for p in ranked] == [("p3", 0.0), ("p2", 0.1)]
    assert ranked[0].metadata == documents[2].metadata and ranked[0].hits == documents[2].hits
    extracted = call(RerankLangChain(compressor=LangChainCompressor.wrap(Extracting(), "extracting")), documents)
    assert [(p.id, p.page_content, p.score) for p in extracted] == [("p1", "wheat", 1.0), ("p3", "wheat", 0.5)]
    with pytest.raises(RagkitError, match="does not keep the metadata"):
        call(RerankLangChain(compressor=LangChainCompressor.wrap(Losing(), "losing")), documents)


def test_a_compressor_is_named_in_yaml():
    text = """
    models:
      ranker: {provider: langchain-compressor, class: langchain_core.documents.BaseDocumentCompressor}
    index: {documents: [x.txt], sparse: {}}
    pipeline: [{retrieve.sparse: {k: 9}}, {rerank.langchain: {compressor: ranker, k: 3}}]
    """
    pipeline = Pipeline.from_yaml(text)
    assert Pipeline.from_yaml(pipeline.to_yaml()).to_yaml() == pipeline.to_yaml()


ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("file", sorted((ROOT / "pipelines").glob("rebel*.yaml")), ids=lambda file: file.stem)
def test_packaged_pipelines_are_valid(file, monkeypatch):
    monkeypatch.chdir(ROOT)
    pipeline = Pipeline.load(file)
    assert Pipeline.from_yaml(pipeline.to_yaml()).to_yaml() == pipeline.to_yaml()


def test_mistakes_in_yaml_are_told_in_words():
    text = """
    models: {minilm: {provider: sentence-transformers, model: "embedded:all-minilm-l6-v2"}}
    index: {documents: [x.txt], sparse: {}}
    pipeline:
      - retrieve.sparse: {k: 10}
      - rerank.colbert: {encoder: minilm}
      - rerank.langchain: {compressor: minilm}
      - rerank.rebel: {modle: minilm}
    """
    with pytest.raises(InputError) as caught:
        Pipeline.from_yaml(text)
    said = str(caught.value)
    assert "'minilm' is an encoder, but a multi-vector encoder is needed" in said
    assert "'minilm' is an encoder, but a document compressor is needed" in said
    assert "unknown key 'modle', did you mean 'model'?" in said and "missing key" not in said
