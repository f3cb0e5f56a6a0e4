"""Two-stage retrieval: exactly the candidates of BM25 are ordered by meaning."""

import asyncio
import json
import math

import pytest
from pydantic import Field, ValidationError

from ragkit.engine.calls import LocalResource, Reply
from ragkit.index import DenseSettings, LocalIndex, SparseSettings
from ragkit.models.base import Reranker
from ragkit.models.scripted import HashEncoder, OverlapReranker
from ragkit.stages import RetrieveDense, RetrieveSparse, RetrieveTwoStage

ROWS = [{"id": f"d{n}", "title": f"Study {n}", "text": f"masks {'masks ' * (n % 7)}and virus {n}"} for n in range(30)]
TOY = [
    {"id": "a", "text": "virus masks masks"},
    {"id": "b", "text": "virus virus tests tests"},
    {"id": "c", "text": "masks"},
]


class Scores(Reranker, LocalResource):
    """A reranker by a table of scores; texts that are not in it score 0."""

    table: dict[str, float] = Field(default_factory=dict)

    def fingerprint(self):
        return "scores"

    def execute(self, op, batch):
        seen.extend(request.args["text"] for request in batch)
        return [Reply(self.table.get(request.args["text"], 0.0)) for request in batch]


seen: list[str] = []


@pytest.fixture(autouse=True)
def nothing_seen():
    seen.clear()


def made(folder, rows, **sparse):
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    index = LocalIndex(
        documents=("rows.jsonl",),
        base=folder,
        path=folder / "index",
        dense=DenseSettings(encoder=HashEncoder(), fields=("text",)),
        sparse=SparseSettings(**sparse),
    )
    index.prepare(lambda *step: None)
    return index


@pytest.fixture
def index(tmp_path):
    return made(tmp_path, ROWS)


def found(stage, *queries):
    return [passage.id for passage in asyncio.run(stage.run(queries))]


def test_bm25_scores_are_those_computed_by_hand(tmp_path):
    index = made(tmp_path, TOY, stemmer=None, stopwords=None, fields=("text",))
    hits = asyncio.run(RetrieveSparse(index=index, k=3).run(("virus masks",)))
    mean = (3 + 4 + 1) / 3

    def weight(count, length):  # two of the three passages hold each word
        return math.log(1 + (3 - 2 + 0.5) / (2 + 0.5)) * count / (count + 1.5 * (0.25 + 0.75 * length / mean))

    by_hand = {"a": weight(1, 3) + weight(2, 3), "b": weight(2, 4), "c": weight(1, 1)}
    assert {hit.id: hit.score for hit in hits} == pytest.approx(by_hand, abs=1e-6)
    assert [hit.id for hit in hits] == sorted(by_hand, key=by_hand.get, reverse=True)


def test_a_word_that_no_passage_holds_finds_nothing(index):
    assert found(RetrieveTwoStage(index=index, k=3, k_coarse=5, reranker=Scores()), "zebra") == []
    assert seen == []


def test_an_empty_query_finds_nothing(index):
    for stage in (
        RetrieveTwoStage(index=index, k=3, k_coarse=5, reranker=Scores()),
        RetrieveTwoStage(index=index, k=3, k_coarse=5),
        RetrieveTwoStage(index=index, k=3, k_coarse=5, encoder=HashEncoder()),
    ):
        assert found(stage, "") == []
    assert seen == []


@pytest.mark.parametrize("candidates", [5, 30, 100])
def test_exactly_the_candidates_are_read(index, candidates):
    coarse = asyncio.run(RetrieveSparse(index=index, k=candidates).run(("masks virus",)))
    stage = RetrieveTwoStage(index=index, k=5, k_coarse=candidates, reranker=Scores())
    ranked = found(stage, "masks virus")
    assert seen == [f"{passage.metadata['title']}\n{passage.page_content}" for passage in coarse]
    assert len(seen) == min(candidates, len(ROWS))
    assert len(ranked) == 5 and set(ranked) <= {passage.id for passage in coarse}


def test_more_than_there_are(index):
    ranked = found(RetrieveTwoStage(index=index, k=80, k_coarse=90, reranker=OverlapReranker()), "masks virus")
    assert sorted(ranked) == sorted(row["id"] for row in ROWS)


def test_equal_scores_keep_the_order_of_bm25(index):
    coarse = found(RetrieveSparse(index=index, k=20), "masks virus")
    assert found(RetrieveTwoStage(index=index, k=7, k_coarse=20, reranker=Scores()), "masks virus") == coarse[:7]
    raised = {f"{row['title']}\n{row['text']}": 1.0 for row in ROWS if row["id"] in (coarse[9], coarse[4])}
    ranked = found(RetrieveTwoStage(index=index, k=7, k_coarse=20, reranker=Scores(table=raised)), "masks virus")
    assert ranked == [coarse[4], coarse[9], *coarse[:4], coarse[5]]


def test_an_oracle_finds_every_gold_candidate(index):
    coarse = found(RetrieveSparse(index=index, k=10), "masks virus")
    gold = {*coarse[3:10:2], "d29" if "d29" not in coarse else "d28"}
    oracle = {f"{row['title']}\n{row['text']}": 1.0 for row in ROWS if row["id"] in gold}
    for k in (2, 8):
        ranked = found(RetrieveTwoStage(index=index, k=k, k_coarse=10, reranker=Scores(table=oracle)), "masks virus")
        assert len(gold & set(ranked)) == min(len(gold & set(coarse)), k)


def test_the_vectors_of_the_index_order_the_candidates_and_hits_tell_both_scores(tmp_path):
    index = made(tmp_path, TOY, fields=("text",))
    ranked = asyncio.run(RetrieveTwoStage(index=index, k=2, k_coarse=3).run(("masks",)))
    dense = asyncio.run(RetrieveDense(index=index, k=3).run(("masks",)))
    assert [passage.id for passage in ranked] == ["c", "a"]
    assert [passage.score for passage in ranked] == [passage.score for passage in dense[:2]]
    assert [[hit.stage for hit in passage.hits] for passage in ranked] == [["sparse", "dense"]] * 2


def test_an_encoder_does_what_vectors_of_the_index_do(index):
    stored = asyncio.run(RetrieveTwoStage(index=index, k=5, k_coarse=9).run(("masks 3 virus",)))
    stage = RetrieveTwoStage(index=index, k=5, k_coarse=9, encoder=HashEncoder(), fields=("text",))
    embedded = asyncio.run(stage.run(("masks 3 virus",)))
    assert [passage.id for passage in embedded] == [passage.id for passage in stored]
    assert [passage.score for passage in embedded] == pytest.approx([passage.score for passage in stored])


def test_only_candidates_are_returned_however_near_others_are(index):
    coarse = found(RetrieveSparse(index=index, k=4), "masks virus 7")
    ranked = found(RetrieveTwoStage(index=index, k=4, k_coarse=4), "masks virus 7")
    assert sorted(ranked) == sorted(coarse)
    only = {"field": "title", "equals": "Study 3"}
    stage = RetrieveTwoStage(index=index, k=4, k_coarse=4)
    assert [passage.id for passage in asyncio.run(stage.run(("masks virus",), where=only))] == ["d3"]


def test_equal_vectors_keep_the_order_of_bm25(tmp_path):
    twins = [{"id": name, "title": title, "text": "masks"} for name, title in (("x", "a"), ("y", "virus"), ("z", "b"))]
    index = made(tmp_path, twins)
    assert found(RetrieveTwoStage(index=index, k=3, k_coarse=3), "masks virus") == ["y", "x", "z"]


def test_several_queries_are_ordered_each_by_itself_and_fused(index):
    stage = RetrieveTwoStage(index=index, k=3, k_coarse=5, reranker=OverlapReranker())
    assert len(found(stage, "study 3 masks", "study 4 masks")) == 3


def test_words_and_meaning_are_weighed(index):
    coarse = asyncio.run(RetrieveSparse(index=index, k=6).run(("masks virus 3",)))
    near = {p.id: p.score for p in asyncio.run(RetrieveTwoStage(index=index, k=6, k_coarse=6).run(("masks virus 3",)))}
    assert found(RetrieveTwoStage(index=index, k=6, k_coarse=6, weight=0), "masks virus 3") == [p.id for p in coarse]

    def scaled(values):
        return [(value - min(values)) / (max(values) - min(values)) for value in values]

    words, meaning = scaled([p.score for p in coarse]), scaled([near[p.id] for p in coarse])
    by_hand = {p.id: 0.7 * word + 0.3 * sense for p, word, sense in zip(coarse, words, meaning, strict=True)}
    ranked = asyncio.run(RetrieveTwoStage(index=index, k=6, k_coarse=6, weight=0.3).run(("masks virus 3",)))
    assert {passage.id: passage.score for passage in ranked} == pytest.approx(by_hand, abs=1e-6)
    assert [passage.score for passage in ranked] == sorted((passage.score for passage in ranked), reverse=True)


def test_settings_that_do_not_go_together(index):
    plain = index.model_copy(update={"dense": None})
    with pytest.raises(ValidationError, match="the index has no dense part"):
        RetrieveTwoStage(index=plain)
    RetrieveTwoStage(index=plain, encoder=HashEncoder())
    with pytest.raises(ValidationError, match="'encoder' or 'reranker', not both"):
        RetrieveTwoStage(index=index, encoder=HashEncoder(), reranker=OverlapReranker())
    with pytest.raises(ValidationError, match=r"k_coarse \(5\) must not be below k \(10\)"):
        RetrieveTwoStage(index=index, k_coarse=5)
