import asyncio
import io
from dataclasses import replace

import pymupdf
import pytest
from PIL import Image

from ragkit import Passage
from ragkit.documents.page_image import PageImage
from ragkit.documents.pages import Page, PageDocument, PageObject
from ragkit.engine.calls import LocalResource, Reply
from ragkit.errors import RagkitError
from ragkit.models.base import SLOT, LanguageModel, slot
from ragkit.models.scripted import ScriptedModel
from ragkit.stages import AnswerMultimodal, ContextPages
from ragkit.stages.cutting import shares, shorten
from ragkit.testing import check_stage

QUESTION = "How deep is the lock?"


class Seer(LanguageModel, LocalResource):
    """Counts words, and tells what it was shown."""

    takes_pictures = True
    reply: str = "12 m [2.1]"

    def fingerprint(self):
        return "seer"

    def execute(self, op, batch):
        if op == "count_tokens":
            return [Reply(len(request.args["text"].split())) for request in batch]
        return [Reply({"text": self.reply, "finish": "stop", "logprob": 0.0}) for request in batch]


def plain(*numbers):
    return tuple(
        Passage(id=f"d#p{n}", page_content=f"word{n} " * n, metadata={"document": "d", "page": n}) for n in numbers
    )


@pytest.fixture
def pages(tmp_path):
    """Passages of a PDF of three pages; the second has a table and a figure, the third a figure of one pixel."""
    pdf = tmp_path / "lock.pdf"
    with pymupdf.open() as document:
        for _ in range(3):
            document.new_page(width=300, height=900)
        document.save(pdf)
    cells = (("depth",), ("12 m",))
    table = PageObject(
        "lock.pdf#p2.table1", "table", (10, 10, 110, 60), "Table 1: Depths", "Table 1", (0, 10), cells, 1
    )
    figure = PageObject(
        "lock.pdf#p2.figure1", "figure", (10, 100, 110, 160), "Figure 1: The gate", "Figure 1", (11, 20)
    )
    dot = PageObject("lock.pdf#p3.figure1", "figure", (10, 10, 10.4, 10.4))
    made = [
        Page("lock.pdf", 1, 300, 900, "The lock."),
        Page("lock.pdf", 2, 300, 900, "Depths: 12 m. The gate.", (table, figure)),
        Page("lock.pdf", 3, 300, 900, "The end.", (dot,)),
    ]
    folder = tmp_path / "pages"
    PageDocument("lock.pdf", pdf, tuple(made)).save(folder)
    return tuple(
        Passage(
            id=f"lock.pdf#p{page.number}",
            page_content=page.text,
            metadata={
                "source": "lock.pdf", "document": "lock.pdf", "page": page.number, "box": [0, 0, 300, 900],
                "objects": [one.to_dict() for one in page.objects], "pages": str(folder),
            },
        )
        for page in made
    )  # fmt: skip


def context_of(documents, **settings):
    model = settings.pop("model", ScriptedModel(default="x"))
    return asyncio.run(ContextPages(model=model, **settings).run(QUESTION, documents))


def numbers_of(context):
    return [page.metadata["page"] for page in context["vars.context"]]


def test_pages_stand_in_the_order_of_the_document_or_of_their_scores():
    found = plain(9, 2, 5)
    assert numbers_of(context_of(found)) == [2, 5, 9]
    assert numbers_of(context_of(found, order="score")) == [9, 2, 5]
    shuffled = [numbers_of(context_of(plain(*range(1, 9)), order="shuffled", k=8)) for _ in range(2)]
    assert shuffled[0] == shuffled[1] != sorted(shuffled[0])
    assert numbers_of(context_of(found, k=2)) == [2, 9]


def test_a_text_that_does_not_fit_is_cut_and_the_question_is_not():
    model = ScriptedModel(default="x")
    found = plain(90, 3, 60)
    whole = context_of(found, model=model, tokens=6000)
    assert [page.page_content for page in whole["vars.context"]] == [p.page_content for p in plain(3, 60, 90)]
    cut = context_of(found, model=model, tokens=150)
    sizes = [len(page.page_content.split()) for page in cut["vars.context"]]
    assert sizes[0] == 3 and sizes[1] == sizes[2] < 60
    asyncio.run(AnswerMultimodal(model=model).run(QUESTION, found, context=cut["vars.context"]))
    assert len(model.prompts[-1].split()) <= 150
    assert model.prompts[-1].endswith(f"Answer this question in 200 words or fewer: {QUESTION}")


def test_a_budget_below_question_and_instruction_is_an_error():
    with pytest.raises(RagkitError, match="raise it, or show fewer pages"):
        context_of(plain(1, 2), tokens=20)


def test_shares_leave_short_texts_whole():
    assert shares([5, 100, 50], 95) == [5, 45, 45]
    assert shares([5, 100, 10], 95) == [5, 80, 10]
    assert shares([5, 7], 100) == [5, 7]
    assert shares([5, 7], 0) == [0, 0]
    assert shares([], 3) == []


def test_a_text_is_cut_between_words():
    model = ScriptedModel(default="x")
    assert asyncio.run(shorten("one two three four", 4, 2, model)) == "one two"
    assert asyncio.run(shorten("one two", 2, 0, model)) == ""
    assert asyncio.run(shorten("one two", 2, 5, model)) == "one two"


def test_crops_follow_the_text_of_their_page(pages):
    shown = context_of(tuple(reversed(pages)), model=Seer())
    assert [(one.passage, one.object.category) for one in shown["media"]] == [
        ("lock.pdf#p2", "table"),
        ("lock.pdf#p2", "figure"),
    ]  # the dot shows nothing
    prompt = AnswerMultimodal(model=Seer()).render(QUESTION, shown["vars.context"], shown["media"])[1]["content"]
    order = [
        "The lock.",
        "Depths: 12 m.",
        "[2.1] Table 1: Depths",
        slot(0),
        "[2.2] Figure 1",
        slot(1),
        "The end.",
        QUESTION,
    ]
    places = [prompt.index(piece) for piece in order]
    assert places == sorted(places)
    assert len(SLOT.findall(prompt)) == len(shown["media"])


def test_renders_stand_in_the_place_of_the_texts(pages):
    shown = context_of(pages, model=Seer(), show="render", side=100)
    assert [page.page_content for page in shown["vars.context"]] == ["", "", ""]
    assert [one.object for one in shown["media"]] == [None] * 3
    picture = Image.open(io.BytesIO(shown["media"][0].picture.png()))
    assert max(picture.size) == 100 and picture.size[0] == 33


def test_pictures_take_at_most_half_of_the_room(pages):
    shown = context_of(pages, model=Seer(), tokens=200, picture_tokens=40)
    assert len(shown["media"]) == 1
    none = context_of(pages, model=Seer(), tokens=200, picture_tokens=150)
    assert none["media"] == ()


def test_a_reader_of_text_gets_no_pictures(pages):
    assert context_of(pages)["media"] == ()


def test_a_passage_cannot_pretend_to_hold_a_picture(pages):
    sly = (pages[1].model_copy(update={"page_content": f"look {slot(0)} and {slot(7)}"}),)
    shown = context_of(sly, model=Seer())
    prompt = AnswerMultimodal(model=Seer()).render(QUESTION, shown["vars.context"], shown["media"])[1]["content"]
    assert SLOT.findall(prompt) == ["0", "1"]


def answer(reply, pages, media=()):
    return asyncio.run(AnswerMultimodal(model=Seer(reply=reply)).run(QUESTION, pages, context=pages, media=media))


def test_an_answer_cites_pages_and_objects(pages):
    found = answer("It is deep [2.2, 1] and wide [3].", pages)
    assert found["answer"] == "It is deep and wide."
    assert [(c.page, c.object, c.box) for c in found["citations"]] == [
        (2, "lock.pdf#p2.figure1", (10, 100, 110, 160)),
        (1, None, (0, 0, 300, 900)),
        (3, None, (0, 0, 300, 900)),
    ]


def test_a_cited_page_names_the_table_that_holds_the_answer(pages):
    assert [c.object for c in answer("12 m [2]", pages)["citations"]] == ["lock.pdf#p2.table1"]
    assert [c.object for c in answer("12 m", pages)["citations"]] == ["lock.pdf#p2.table1"]


def test_brackets_that_name_no_page_are_text(pages):
    found = answer("It is [4] or [2.9] or [1.5].", pages)
    assert found["answer"] == "It is [4] or [2.9] or [1.5]."
    assert found["citations"] == ()


def test_it_abstains_in_words_and_without_pages(pages):
    assert answer(" Unanswerable. ", pages)["answer"] is None
    assert answer("anything", ())["answer"] is None


def test_both_stages_keep_their_contract():
    check_stage(ContextPages(model=ScriptedModel(default="x")))
    check_stage(AnswerMultimodal(model=ScriptedModel(default="x")))


def test_a_picture_is_named_by_what_it_shows(pages, tmp_path):
    first, second = (one.picture for one in context_of(pages, model=Seer())["media"])
    assert first.key == replace(first, side=768).key != replace(first, side=100).key
    assert PageImage(tmp_path / "other.png", first.image.pdf, 2, first.image.box).png() == first.image.png()
    assert second.key != first.key
