"""Ranking rows over a small index: which passages become negatives, and what else a corpus gives."""

import json
from contextlib import contextmanager

import pytest

from ragkit import Pipeline
from ragkit.errors import InputError
from ragkit.evaluation.questions import Question
from ragkit.models.base import Encoder, Reranker
from ragkit.tuning.builders.ranking import RankingBuilder, read_fields
from ragkit.tuning.data import BuildContext, TuningSet

PASSAGES = {
    "rice": ("Rice", "Rice grows in flooded paddies. It needs much water. Farmers plant it in spring."),
    "wheat": ("Wheat", "Wheat grows on dry plains. It needs little water. Farmers sow it in autumn."),
    "maize": ("Maize", "Maize grows in warm fields. It needs some water. Farmers harvest it in autumn."),
    "river": ("Rivers", "Rivers carry water to flooded paddies. They rise in spring."),
    "twin": ("Wheat", "Wheat grows on dry plains. It needs little water. Farmers sow it in autumn."),
}
QUESTIONS = [
    Question("q1", "Which crop grows in flooded paddies?", ("Rice",), ("rice",)),
    Question("q2", "When do farmers sow wheat?", ("autumn",), ("wheat",)),
    Question("q3", "What rises?", ("rivers",), ("nowhere",)),
]
YAML = """
models:
  words: {{provider: hash}}
  judge: {{provider: overlap}}
index: {{documents: ["corpus.jsonl"], base: "{folder}", dense: {{encoder: words}}, sparse: {{}}}}
pipeline: [{{retrieve.hybrid: {{k: 5}}}}, {{rerank.cross_encoder: {{reranker: judge, fields: [text]}}}}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    lines = [{"id": name, "title": title, "text": text} for name, (title, text) in PASSAGES.items()]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture
def context(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("RAGKIT_HOME", str(tmp_path))

    @contextmanager
    def opened(part):
        with Pipeline.from_yaml(YAML.format(folder=folder)) as pipeline:
            pipeline.prepare()
            yield TuningSet("farm", pipeline, QUESTIONS)

    def make(model="words"):
        return BuildContext({"farm": opened}, model, 0, tmp_path, lambda *_: None)

    return make


def built(context, part="validation", model="words", **settings):
    return RankingBuilder(**{"margin": None} | settings).build(part, context(model))


def texts(*names, title=True):
    return tuple("\n".join(PASSAGES[name] if title else PASSAGES[name][1:]) for name in names)


def test_negatives_are_neither_gold_nor_its_twin_nor_hold_an_answer(context):
    first, second = built(context)
    assert (first.query, first.positives) == (QUESTIONS[0].question, texts("rice"))
    assert set(first.negatives) == set(texts("wheat", "maize", "river"))
    assert first.negatives[0] == texts("river")[0]  # shares the words of the question
    assert second.positives == texts("wheat")
    assert set(second.negatives) == set(texts("rice", "river"))  # maize is harvested in autumn, the twin is the same
    assert first.origin == {"set": "farm", "question": "q1", "kind": "question"}


def test_what_is_nearly_as_near_as_the_gold_passage_is_no_negative(context):
    strict = built(context, margin=0.5)
    assert texts("river")[0] not in strict[0].negatives
    assert set(strict[0].negatives) < set(built(context)[0].negatives)


def test_negatives_are_limited(context):
    assert [len(row.negatives) for row in built(context, negatives=1)] == [1, 1]


def test_a_reranker_gets_the_fields_that_its_step_reads(context):
    assert built(context, model="judge")[0].positives == texts("rice", title=False)


def test_rows_of_a_set_are_taken_several_times_for_training_only(context):
    assert len(built(context, "train", copies={"farm": 3})) == 6
    assert len(built(context, copies={"farm": 3})) == 2
    with pytest.raises(InputError, match="there is no set 'farms', did you mean 'farm'"):
        built(context, copies={"farms": 3})


def test_of_a_long_gold_document_the_piece_that_serves_is_the_positive(context, folder, tmp_path):
    pieces = ["Soil is old. " * 60, "Loess is dust that the wind brought. " * 20, "Peat is wet. " * 60]
    line = {"id": "long", "title": "Ground", "text": " ".join(pieces)}
    (tmp_path / "corpus.jsonl").write_text(json.dumps(line) + "\n")
    with Pipeline.from_yaml(YAML.format(folder=tmp_path)) as pipeline:
        pipeline.prepare()
        asked = TuningSet("long", pipeline, [Question("q", "What did the wind bring?", (), ("long",))])
        opener = contextmanager(lambda part: iter([asked]))
        (row,) = RankingBuilder().build("train", BuildContext({"long": opener}, "words", 0, tmp_path, lambda *_: None))
    assert len(row.positives) == 1 and "wind" in row.positives[0]
    assert row.negatives == ()


def test_titles_and_sentences_are_queries_for_training_only(context):
    rows = built(context, "train", titles=2, sentences=2)
    kinds = [row.origin["kind"] for row in rows]
    assert (kinds.count("question"), kinds.count("title"), kinds.count("sentence")) == (2, 2, 2)
    for row in rows:
        own = PASSAGES[row.origin["question"]] if row.origin["kind"] != "question" else None
        if row.origin["kind"] == "title":
            assert (row.query, row.positives) == (own[0], (own[1],))
        if row.origin["kind"] == "sentence":
            assert row.query in own[1] and row.positives[0].startswith(own[0])
        assert not {*row.positives} & {*row.negatives}
    assert rows == built(context, "train", titles=2, sentences=2)
    assert len(built(context, titles=2, sentences=2)) == 2


def test_teachers_score_positives_first(context, folder):
    ranks = built(context, teacher="ranks")[0]
    assert len(ranks.scores) == 1 + len(ranks.negatives)
    assert list(ranks.scores[1:]) == sorted(ranks.scores[1:], reverse=True)
    pipeline = Pipeline.from_yaml(YAML.format(folder=folder))
    words, judge = pipeline.models["words"], pipeline.models["judge"]
    assert isinstance(words, Encoder) and isinstance(judge, Reranker)
    by_overlap, by_cosine = built(context, reranker=judge)[0], built(context, encoder=words)[0]
    assert by_overlap.scores[0] == pytest.approx(4 / 6)  # grows, in, flooded, paddies of the six words
    assert all(0 <= score <= 1 for score in by_cosine.scores)
    with pytest.raises(InputError, match="name one teacher"):
        built(context, reranker=judge, encoder=words)


def test_a_model_that_reads_no_passages_is_refused(folder):
    pipeline = Pipeline.from_yaml(YAML.format(folder=folder).replace("models:", "models:\n  other: {provider: hash}"))
    with pytest.raises(InputError, match=r"neither the encoder of index\.dense nor the reranker"):
        read_fields(pipeline, "other")
