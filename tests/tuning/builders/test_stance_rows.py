"""Stance rows: what sets say of passages and claims, in the forms that sets have."""

import json
from contextlib import contextmanager

import pytest

from ragkit import Pipeline
from ragkit.errors import InputError
from ragkit.evaluation.questions import Question
from ragkit.evaluation.split import in_part, part_of
from ragkit.tuning.builders import LabelledTexts, StanceRows
from ragkit.tuning.data import BuildContext, TuningSet

LONG = " ".join(f"Sentence {n} tells of masks and of virus number {n}, at some length." for n in range(40))
PASSAGES = {
    "masks": ("Masks", "Masks stop the virus."),
    "long": ("Report", f"{LONG} Masks never killed a soul. {LONG.replace('tells', 'says')}"),
    "zinc": ("", "Zinc does not help against the virus."),
    **{f"other{n}": ("", f"The virus was found in place {n}.") for n in range(9)},
}
HEALTHVER = Question("hv", "Masks stop the virus", extra={"evidence": [{"id": "masks", "label": "Supports"},
                     {"id": "zinc", "label": "Neutral"}]})  # fmt: skip
SCIFACT = Question("sf", "Masks kill", extra={"label": "CONTRADICT", "evidence": [
    {"doc_id": "long", "label": "CONTRADICT", "text": ["Masks never killed a soul."]}]})  # fmt: skip
NO_INFO = Question("ni", "Masks are old", extra={"label": "NOT_ENOUGH_INFO", "evidence": [], "cited_ids": ["masks"]})
TRUE = Question("t", "Zinc does not help", supporting_ids=("zinc",),
                extra={"label": "SUPPORTED", "group": "g", "evidence": ["Zinc does not help."]})  # fmt: skip
FALSE = Question("f", "Zinc does help", supporting_ids=("zinc",), extra={"label": "REFUTED", "group": "g"})
YAML = """
models:
  counter: {{provider: scripted, default: unrelated}}
  stance: {{provider: classifier, model: none}}
index: {{documents: ["corpus.jsonl"], base: "{folder}", sparse: {{}}}}
pipeline: [{{retrieve.sparse: {{k: 5}}}}, {{evidence.select: {{model: counter, nli: {nli}, fields: [{fields}]}}}}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    lines = [{"id": name, "title": title, "text": text} for name, (title, text) in PASSAGES.items()]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture
def built(folder, tmp_path):
    def build(*questions, part="validation", builder=None, nli="stance", fields="text", **settings):
        @contextmanager
        def opened(part):
            with Pipeline.from_yaml(YAML.format(folder=folder, nli=nli, fields=fields)) as pipeline:
                pipeline.prepare()
                yield TuningSet("farm", pipeline, questions)

        context = BuildContext({"farm": opened}, "stance", 0, tmp_path, lambda *_: None)
        return (builder or StanceRows(**settings)).build(part, context)

    return build


def said(rows):
    return [(row.origin["question"], row.label, row.text) for row in rows]


def test_passages_with_labels_of_their_own(built):
    assert said(built(HEALTHVER)) == [
        ("hv", "entailment", "Masks stop the virus."),
        ("hv", "neutral", "Zinc does not help against the virus."),
    ]
    (row, _) = built(HEALTHVER, fields="title, text")
    assert row.text == "Masks\nMasks stop the virus." and row.statement == "Masks stop the virus"


def test_of_a_document_that_was_cut_the_passage_counts_that_holds_the_sentence(built):
    (row,) = built(SCIFACT)
    assert row.label == "contradiction" and "Masks never killed a soul." in row.text
    assert len(row.text) < len(PASSAGES["long"][1]) / 2


def test_one_label_for_gold_or_cited_passages(built):
    assert said(built(NO_INFO, TRUE, FALSE)) == [
        ("ni", "neutral", "Masks stop the virus."),
        ("t", "entailment", "Zinc does not help against the virus."),
        ("f", "contradiction", "Zinc does not help against the virus."),
    ]


def test_sentences_and_versions_of_claims_are_for_training_only(built):
    rows = built(SCIFACT, TRUE, FALSE, part="train", unrelated=0)
    further = [(row.origin["kind"], *one) for row, one in zip(rows, said(rows), strict=True)]
    assert [one for one in further if one[0] != "passage"] == [
        ("sentences", "sf", "contradiction", "Masks never killed a soul."),
        ("sentences", "t", "entailment", "Zinc does not help."),
        ("version", "t", "entailment", "Zinc does not help"),
        ("version", "f", "contradiction", "Zinc does not help"),
    ]
    plain = built(SCIFACT, TRUE, FALSE, part="train", unrelated=0, sentences=False, versions=False)
    assert {row.origin["kind"] for row in plain} == {"passage"}


def test_unrelated_passages_are_found_and_unjudged(built):
    rows = built(HEALTHVER, part="train", unrelated=3, beyond=1, depth=8)
    drawn = [row for row in rows if row.origin["kind"] == "unrelated"]
    assert len(drawn) == 3 and {row.label for row in drawn} == {"neutral"}
    assert {row.origin["document"] for row in drawn}.isdisjoint({"masks", "zinc"})
    assert rows == built(HEALTHVER, part="train", unrelated=3, beyond=1, depth=8)


def test_what_rows_cannot_be_made_of(built):
    with pytest.raises(InputError, match="set 'farm', question 'x': the stance 'maybe' is none of support"):
        built(Question("x", "?", extra={"evidence": [{"id": "masks", "label": "maybe"}]}))
    with pytest.raises(InputError, match="tell no stance of a passage that is in the index"):
        built(Question("x", "?", extra={"label": "SUPPORTS", "cited_ids": ["nowhere"]}))
    with pytest.raises(InputError, match=r"no evidence\.select whose nli is the model 'stance'"):
        built(HEALTHVER, nli="null")


def test_texts_with_labels(built):
    polite, rude = (Question(name, "Well.", extra={"label": name}) for name in ("polite", "rude"))
    rows = built(polite, rude, builder=LabelledTexts())
    assert [(row.text, row.statement, row.label) for row in rows] == [("Well.", "", "polite"), ("Well.", "", "rude")]
    with pytest.raises(InputError, match="question 'polite': its row has no text in 'tone'"):
        built(polite, builder=LabelledTexts(field="tone"))


def test_a_group_of_claims_never_crosses_the_parts():
    claims = [Question(f"c{n}", "?", extra={"group": f"g{n // 3}"}) for n in range(300)]
    parts = {part: {q.extra["group"] for q in in_part(claims, part)} for part in ("train", "validation", "test")}
    assert sum(map(len, parts.values())) == len(set.union(*parts.values())) == 100
    assert all(part_of(group) == part for part, groups in parts.items() for group in groups)
