"""Rows for readers of noisy pages, from a small corpus of PDFs that the pipeline itself searches."""

import hashlib
import json
from contextlib import contextmanager

import pymupdf
import pytest

from ragkit import Passage, Pipeline
from ragkit.errors import InputError
from ragkit.evaluation.evidence import document_of
from ragkit.evaluation.questions import Question
from ragkit.evaluation.split import in_part, part_of
from ragkit.models.base import SLOT
from ragkit.models.scripted import ScriptedModel
from ragkit.tuning.builders.retrieval_aware import RetrievalAwareBuilder
from ragkit.tuning.builders.retrieval_aware.builder import cited
from ragkit.tuning.builders.retrieval_aware.corpus import Corpus, Hygiene
from ragkit.tuning.builders.retrieval_aware.generating import PageQuestions, targets_of, write_questions
from ragkit.tuning.builders.retrieval_aware.mixture import apportion, kinds
from ragkit.tuning.data import BuildContext, TuningSet
from ragkit.tuning.rows import write_rows

METALS = ["tin", "zinc", "lead", "gold", "iron", "silver", "copper", "nickel"]
PIPELINE = """
models:
  reader: {provider: scripted, default: "x"}
index: {documents: ["*.pdf"], chunking: {by: page}, sparse: {}}
pipeline:
  - retrieve.sparse: {k: 3}
  - context.pages: {model: reader, k: 3, prompt: answer.multimodal.tuned}
  - answer.multimodal: {model: reader, prompt: answer.multimodal.tuned}
run: {cache: false}
"""
RATES = {"gold_hard": 0.5, "gold_random": 0.25, "absent": 0.25}


@pytest.fixture(scope="module")
def mines(tmp_path_factory):
    """Twelve PDFs of eight pages, each page about one metal in that PDF's country, and a question for each page."""
    folder = tmp_path_factory.mktemp("mines")
    questions = []
    for number in range(12):
        name = f"mines{number:02d}.pdf"
        with pymupdf.open() as pdf:
            for page, metal in enumerate(METALS, 1):
                hill, country = f"hill {metal}{number}", f"country {number}"
                words = f"In {country} the ore of {metal} is mined on the {hill} by {page}{number} men."
                pdf.new_page().insert_text((72, 72), words)
                where = {"where": {"field": "document", "equals": name}}
                questions.append(
                    Question(
                        f"{name}.{metal}", f"Where is {metal} mined in {country}?", (hill,), (f"{name}#p{page}",),
                        vars=where,
                    )
                )  # fmt: skip
            pdf.save(folder / name)
    return folder, questions


@pytest.fixture
def context(mines, tmp_path, monkeypatch):
    folder, questions = mines
    monkeypatch.chdir(folder)
    return context_over(questions, tmp_path)


def context_over(questions, folder, by="document"):
    @contextmanager
    def opened(part):
        with Pipeline.from_yaml(PIPELINE) as pipeline:
            pipeline.prepare()
            yield TuningSet("mines", pipeline, in_part(questions, part, by))

    return BuildContext({"mines": opened}, "reader", 0, folder, lambda *_: None)


def build(context, part="train", **settings):
    return RetrievalAwareBuilder(**RATES | settings).build(part, context)


def test_rates_are_met_exactly():
    rates = {"gold_hard": 0.8, "gold_random": 0.1, "absent": 0.1}
    assert apportion(1000, rates) == {"gold_hard": 800, "gold_random": 100, "absent": 100}
    drawn = kinds(1000, rates, seed=3)
    assert [drawn.count(kind) for kind in rates] == [800, 100, 100]
    assert drawn == kinds(1000, rates, seed=3) != kinds(1000, rates, seed=4)


def test_the_largest_remainders_are_rounded_up():
    assert apportion(7, {"a": 0.8, "b": 0.1, "c": 0.1}) == {"a": 5, "b": 1, "c": 1}
    assert apportion(3, {"a": 1, "b": 1}) == {"a": 2, "b": 1}
    assert sum(apportion(1001, {"a": 1, "b": 1, "c": 1}).values()) == 1001
    with pytest.raises(ValueError, match="above 0"):
        apportion(3, {"a": 0})


def test_rows_are_of_the_rates_and_keep_away_from_the_evidence(context):
    rows = build(context)
    counts = {kind: sum(row.origin["kind"] == kind for row in rows) for kind in RATES}
    assert counts == apportion(len(rows), RATES) and len(rows) >= 40
    for row in rows:
        document, metal = row.origin["question"].rsplit(".", 1)
        page = METALS.index(metal) + 1
        places = [(name.split("#p")[0], int(name.split("#p")[1].split(".")[0])) for name in row.origin["pages"]]
        assert len(places) == len(set(places)) == 3
        others = [place for place in places if place != (document, page)]
        assert not [n for d, n in others if d == document and abs(n - page) <= 1]
        present = (document, page) in places
        assert present is (row.origin["kind"] != "absent")
        if present:
            number = row.origin["gold"][0]
            country = int(document[5:7])
            assert row.completion == f"hill {metal}{country} [{number}]"
            assert f"[{number}] In country {country} the ore of {metal} " in row.prompt[1]["content"]
        else:
            assert row.completion == "unanswerable"
        assert row.prompt[1]["content"].rstrip().endswith(f"Where is {metal} mined in country {int(document[5:7])}?")


def test_hard_distractors_are_those_that_the_retrieval_finds(context):
    hard, at_random = (
        build(context, **{"gold_hard": 0, "gold_random": 0, "absent": 0} | {kind: 1})
        for kind in ("gold_hard", "gold_random")
    )
    assert [row.origin["pages"] for row in hard] != [row.origin["pages"] for row in at_random]
    # All questions have a filter on their document, so what is found is from it; and it has pages enough.
    for row in [*hard, *at_random]:
        assert {document_of(page) for page in row.origin["pages"]} == {row.origin["question"].rsplit(".", 1)[0]}


def test_the_control_has_the_same_questions_with_the_evidence_alone(context):
    mixed, control = build(context), build(context, pages="gold")
    assert {row.origin["question"] for row in mixed} == {row.origin["question"] for row in control}
    assert all(len(row.origin["pages"]) == 1 and row.origin["gold"] == [1] for row in control)


def test_the_papers_rows_are_what_was_found_and_always_answer(context):
    rows = build(context, pages="retrieved")
    assert all(row.completion.startswith("hill ") for row in rows)
    absent = [row for row in rows if not row.origin["gold"]]
    assert all("[" not in row.completion for row in absent)


def test_the_same_seed_gives_the_same_file(context, tmp_path):
    first, second = (write_rows(tmp_path / name, build(context)) for name in ("a.jsonl", "b.jsonl"))
    assert first == second == hashlib.sha256((tmp_path / "a.jsonl").read_bytes()).hexdigest()


def test_no_document_is_trained_on_and_held_out(context, mines, tmp_path):
    train, test = build(context), build(context, "test")
    own = [{row.origin["question"].rsplit(".", 1)[0] for row in rows} for rows in (train, test)]
    assert own[0] and own[1] and not own[0] & own[1]
    assert {part_of(document) for document in own[0]} == {"train"}
    leaking = context_over(mines[1], tmp_path, by="question")
    with pytest.raises(InputError, match="give the set 'split: document'"):
        build(leaking)


def test_an_audit_is_kept(context):
    rows = build(context)
    audit = json.loads((context.folder / "retrieval_aware.mines.train.json").read_text())
    assert sum(audit["rows"].values()) == audit["usable"] == len(rows)
    assert sum(audit["gold_positions"].values()) == len(rows) - audit["rows"]["absent"]
    assert audit["refused_distractors"]["beside evidence"] > 0


def page(number, text, document="d"):
    return Passage(id=f"{document}#p{number}", page_content=text, metadata={"document": document, "page": number})


def test_near_duplicates_and_answers_are_no_distractors():
    gold = page(5, "the depth of the lock is twelve metres and its width is five metres")
    header = page(9, "the depth of the lock is twelve metres and its width is five metres again")
    other = page(1, "the gate is painted green each spring by the keepers of the lock")
    same = page(2, "The gate is painted GREEN each spring by the keepers of the lock!")
    beside = page(6, "the next page goes on about the locks and about their depths in feet")
    elsewhere = page(6, "quite another document about mills and their wheels", "e")
    hygiene = Hygiene(1, 0.8)
    taken = hygiene.clean([header, other, same, beside, gold, elsewhere], [gold], 9)
    assert [one.id for one in taken] == ["d#p1", "e#p6"]
    assert hygiene.dropped == {"beside evidence": 1, "near-duplicate": 2, "answers": 0}
    assert [one.id for one in Hygiene(1, 0.8).clean([other, elsewhere], [gold], 9, ["green"])] == ["e#p6"]
    assert len(Hygiene(1, 0.8).clean([other, elsewhere], [gold], 1)) == 1


def test_a_completion_cites_the_gold_pages_that_hold_the_answer():
    pages = (page(1, "nothing"), page(2, "it is 12 m deep"), page(3, "more"))
    assert cited("12 m", pages, [2, 3]) == "12 m [2]"
    assert cited("twelve", pages, [2, 3]) == "twelve [2, 3]"
    assert cited("12 m", pages, []) == "12 m"


def test_questions_are_split_by_their_documents():
    questions = [Question(f"q{n}", "?", supporting_ids=(f"d{n % 7}.pdf#p1",)) for n in range(70)]
    parts = {part: in_part(questions, part, "document") for part in ("train", "validation", "test")}
    assert sum(map(len, parts.values())) == 70
    assert all(part_of(document_of(q.supporting_ids[0])) == part for part, own in parts.items() for q in own)
    torn = Question("t", "?", supporting_ids=tuple(f"d{n}.pdf#p1" for n in range(7)))
    assert not any(in_part([torn], part, "document") for part in parts)


@pytest.fixture
def harbours(tmp_path, monkeypatch):
    """PDFs of three pages: text, a ruled table, a picture."""
    monkeypatch.chdir(tmp_path)
    for number in range(6):
        with pymupdf.open() as pdf:
            pdf.new_page().insert_text((72, 72), f"Harbour {number} has a long quay and a short pier for small boats.")
            page = pdf.new_page()
            page.insert_text((72, 62), f"Table 1: Depths of harbour {number}")
            for row, cells in enumerate([("Place", "Depth"), ("Quay", f"{number} m"), ("Pier", "2 m")]):
                for column, cell in enumerate(cells):
                    box = (72 + 100 * column, 80 + 20 * row, 172 + 100 * column, 100 + 20 * row)
                    page.draw_rect(box)
                    page.insert_text((box[0] + 4, box[1] + 14), cell)
            page = pdf.new_page()
            picture = pymupdf.Pixmap(pymupdf.csRGB, (0, 0, 120, 90), 0)
            picture.clear_with(90 + number)
            page.insert_image((72, 72, 312, 252), pixmap=picture)
            page.insert_text((72, 270), f"Figure 1: Harbour {number} from the air")
            pdf.save(tmp_path / f"harbour{number}.pdf")

    @contextmanager
    def opened(part):
        with Pipeline.from_yaml(PIPELINE.replace("chunking: {by: page}", "pages: {dpi: 72}")) as pipeline:
            pipeline.prepare()
            yield TuningSet("harbours", pipeline, [])

    return BuildContext({"harbours": opened}, "reader", 0, tmp_path, lambda *_: None)


def scripted_writer(refuses="nothing"):
    def reply(prompt):
        target = prompt.partition("to ask about:")[2] or prompt.partition("is about:")[2]
        if "Reply with four words" in prompt:
            return "yes, yes, no, yes" if refuses in target.partition("Question:")[0] else "Yes yes yes yes"
        if "Answer this question" in prompt:
            return "It is so. " + target.split()[1]
        return f"Why {' '.join(target.split()[:4])}?"

    return ScriptedModel(reply=reply)


def test_questions_are_written_by_category_checked_and_answered(harbours):
    generate = PageQuestions(models=(scripted_writer("Table 1"),), per_category=5)
    rows = RetrievalAwareBuilder(**RATES, generate=generate).build("train", harbours)
    audit = json.loads((harbours.folder / "retrieval_aware.harbours.train.json").read_text())
    written = [json.loads(line) for line in (harbours.folder / "retrieval_aware.harbours.train.jsonl").open()]
    documents = {document_of(one["supporting_ids"][0]) for one in written}
    assert {part_of(document) for document in documents} == {"train"}
    assert len(rows) == len(written) == audit["usable"]
    kinds_of = [one["type"] for one in written]
    assert kinds_of.count("figure") == len(documents) and "table" not in kinds_of
    # Pages of tables and figures have texts too, their captions aside: only the first page has one here.
    assert kinds_of.count("text") == len(documents)
    assert audit["dropped_questions"] == {"check failed": len(documents)}
    assert all(one["answers"] == ["It is so. " + one["question"].split()[2]] for one in written)


def test_a_check_that_cannot_be_read_accepts_nothing(harbours):
    model = ScriptedModel(reply=lambda prompt: "yes yes yes" if "four words" in prompt else "Why is it so?")
    assert build_questions(harbours, PageQuestions(models=(model,))).dropped["check unreadable"] > 0
    assert not build_questions(harbours, PageQuestions(models=(model,))).questions


def build_questions(context, settings):
    with context.openers["harbours"]("train") as opened:
        return write_questions(settings, Corpus(opened.pipeline), "train", context)


def test_a_writer_that_sees_gets_the_pictures_of_the_target(harbours):
    with harbours.openers["harbours"]("train") as opened:
        corpus = Corpus(opened.pipeline)
        own = corpus.of([corpus.documents[0]])
        (figure,) = targets_of(own, "figure", 64)
        assert len(figure.pictures) == 1 and SLOT.findall(figure.text) == ["0"]
        assert max(figure.pictures[0].open().size) == 64
        (table,) = targets_of(own, "table", 64)
        assert "| Quay | " in table.text and "Depths of harbour" in table.text
        assert "from the air" in table.context and "long quay" in table.context
