"""Pages in an index: pieces, patches, pictures beside the builds."""

import asyncio

import numpy as np
import pymupdf
import pytest
from PIL import Image
from pydantic import PrivateAttr, ValidationError

from ragkit.documents import PdfSettings
from ragkit.documents.page_settings import PageSettings
from ragkit.documents.pages import Page
from ragkit.engine.calls import LocalResource, Reply
from ragkit.index import LocalIndex, SparseSettings
from ragkit.index.filters import Filter
from ragkit.index.multi_vector import max_sim, pooled, quantised
from ragkit.index.page_vectors import PieceSettings, VisualSettings, pieces_of
from ragkit.models.base import Encoder, ImageEncoder, PageEncoder

NO_OCR = PdfSettings(ocr="off")
ALL = Filter.parse({"field": "page", "at_least": 1}, "test")


class _Fake(LocalResource):
    name: str = "fake"

    _seen: list = PrivateAttr(default_factory=list)

    def fingerprint(self):
        return self.name

    def describe(self):
        return {"id": self.name}

    def execute(self, op, batch):
        self._seen += [(op, request.args.get("image") or request.args["text"]) for request in batch]
        return [Reply(self.value(op, request)) for request in batch]


class Words(_Fake, Encoder):
    """Texts: whether they hold wheat, maize, anything else."""

    def value(self, op, request):
        text = request.args["text"].lower()
        return np.array(["wheat" in text, "maize" in text, 0.1], np.float32)


class Colours(Words, ImageEncoder):
    """Pictures of red are wheat, of blue maize."""

    def value(self, op, request):
        if op == "embed":
            return super().value(op, request)
        picture = request.payload.open()
        red, _, blue = picture.getpixel((picture.width // 2, picture.height // 2))
        return np.array([red > 150, blue > 150, 0.1], np.float32)


class Patches(_Fake, PageEncoder):
    """Of a picture the colours of its quarters; a query is its words as colours."""

    def value(self, op, request):
        if op == "embed_tokens":
            colours = {"red": (1, 0, 0), "blue": (0, 0, 1)}
            return np.array([colours[word] for word in request.args["text"].split() if word in colours], np.float32)
        small = np.asarray(request.payload.open().resize((2, 2), Image.Resampling.BOX), np.float32).reshape(4, 3)
        return small / np.linalg.norm(small, axis=1, keepdims=True)


def fields(path, colours=("red", "blue"), pages=2):
    """Pages with a line of text and a coloured picture with a caption that says no colour."""
    pdf = pymupdf.open()
    for number in range(pages):
        page = pdf.new_page(width=300, height=400)
        page.insert_text((20, 30), f"Page {number + 1} of a report on the fields of the farm.")
        if number < len(colours):
            shade = {"red": (250, 10, 10), "blue": (10, 10, 250)}[colours[number]]
            picture = pymupdf.Pixmap(pymupdf.csRGB, pymupdf.IRect(0, 0, 60, 80))
            picture.set_rect(picture.irect, shade)
            page.insert_image((30, 60, 270, 360), pixmap=picture, keep_proportion=False)
            page.insert_text((40, 375), f"Figure {number + 1}: A field from above.", fontsize=8)
    pdf.save(path)
    pdf.close()


@pytest.fixture
def make(tmp_path):
    (tmp_path / "docs").mkdir()
    fields(tmp_path / "docs" / "a.pdf")
    fields(tmp_path / "docs" / "b.pdf", ("blue",), pages=3)

    def make_index(**parts):
        settings = {"documents": ("docs/*.pdf",), "base": tmp_path, "path": tmp_path / "index", "pdf": NO_OCR}
        index = LocalIndex(**settings, pages=PageSettings(dpi=72), **(parts or {"sparse": SparseSettings()}))
        index.prepare(lambda *step: None)
        return index

    return make_index


def found(index, part, query, k=9, where=None):
    return [(p.id, round(p.score, 3)) for p in asyncio.run(index.search(part, query, k, where))]


def test_every_page_is_a_passage_that_knows_its_pictures(make, tmp_path):
    index = make()
    pages = [Page.of(passage) for passage in index.select(ALL, 10)]
    assert [(page.document, page.number) for page in pages] == [("a.pdf", 1), ("a.pdf", 2)] + [
        ("b.pdf", number) for number in (1, 2, 3)
    ]
    assert [len(page.objects) for page in pages] == [1, 1, 1, 0, 0]
    assert pages[0].image.open().size == (300, 400)
    assert pages[1].objects[0].image.open().getpixel((50, 50)) == (10, 10, 250)
    assert pages[0].image.file.is_relative_to(tmp_path / "index" / "pages")


def test_an_index_that_was_moved_finds_its_pictures(make, tmp_path):
    make()
    (tmp_path / "index").rename(tmp_path / "moved")
    index = make()  # the folder of before is gone, a new one is made
    moved = index.model_copy(update={"path": tmp_path / "moved"})
    moved.close()
    page = Page.of(moved.select(ALL, 1)[0])
    assert page.image.file.is_relative_to(tmp_path / "moved")
    assert page.image.open().size == (300, 400)


def test_a_page_scores_what_its_best_piece_scores(make):
    index = make(pieces=PieceSettings(encoder=Words()))
    assert {score for _, score in found(index, "pieces", "anything")} == {1.0}
    assert found(index, "pieces", "wheat")[0][1] == pytest.approx(0.1, abs=0.01)


def test_pictures_are_pieces_where_the_encoder_sees(make):
    encoder = Colours()
    index = make(pieces=PieceSettings(encoder=encoder))
    ranked = found(index, "pieces", "wheat", k=2)
    assert ranked[0] == ("a.pdf#p1", pytest.approx(1.0, abs=0.01))
    assert ranked[1][1] == pytest.approx(0.1, abs=0.01)
    assert {name for name, score in found(index, "pieces", "maize") if score > 0.9} == {"a.pdf#p2", "b.pdf#p1"}
    assert sum(op == "embed_image" for op, _ in encoder._seen) == 3


def test_patches_are_searched_by_late_interaction(make):
    index = make(visual=VisualSettings(encoder=Patches(), precision="float32"))
    (best, score), *_ = found(index, "visual", "red blue red", k=5)
    assert best == "a.pdf#p1"
    page = Page.of(index.passages(["a.pdf#p1"])["a.pdf#p1"])
    query = asyncio.run(index.visual.query("red blue red"))
    patches = asyncio.run(Patches().embed_patches(page.image))
    assert score == pytest.approx(max_sim(query, patches), abs=1e-3)


def test_fewer_bytes_and_fewer_vectors_find_the_same(make):
    for settings in ({"precision": "int8"}, {"precision": "float16"}, {"pool": 2, "precision": "int8"}):
        index = make(visual=VisualSettings(encoder=Patches(), **settings))
        assert found(index, "visual", "red", k=1)[0][0] == "a.pdf#p1"
        index.close()


def test_an_index_that_grows_looks_at_new_pages_only_and_drops_old_pictures(make, tmp_path):
    make(visual=VisualSettings(encoder=Patches()))
    before = {path.name for path in (tmp_path / "index" / "pages").iterdir()}
    fields(tmp_path / "docs" / "c.pdf", ("red",), pages=1)
    encoder = Patches()
    index = make(visual=VisualSettings(encoder=encoder))
    assert [op for op, _ in encoder._seen] == ["embed_patches"]
    (tmp_path / "docs" / "a.pdf").unlink()
    for number in range(2):  # the build before the last one keeps its pages
        fields(tmp_path / "docs" / f"d{number}.pdf", ("blue",), pages=1)
        index = make(visual=VisualSettings(encoder=encoder))
    assert found(index, "visual", "red", k=1)[0][0] == "c.pdf#p1"
    named = {passage.metadata["pages"].rpartition("/")[2] for passage in index.select(ALL, 99)}
    assert {path.name for path in (tmp_path / "index" / "pages").iterdir()} == named
    assert before - named


def test_pieces_need_pages(tmp_path):
    with pytest.raises(ValidationError, match=r"'pieces' looks at pages: add 'pages: \{\}'"):
        LocalIndex(documents=("*.pdf",), base=tmp_path, pieces=PieceSettings(encoder=Words()))


def test_fields_are_refused_for_pieces():
    with pytest.raises(ValidationError, match="the pieces of a page are searched"):
        PieceSettings(encoder=Words(), fields=("section", "text"))


def test_texts_of_a_page_are_cut_and_objects_stand_by_themselves(make):
    page = Page.of(make().select(ALL, 1)[0])
    assert pieces_of(page, 200) == [page.body, page.text_of(page.objects[0])]
    long = Page("x", 1, 1, 1, "\n\n".join(f"Paragraph {n} about soil and water in spring." for n in range(40)))
    assert len(pieces_of(long, 50)) > 5


def test_bytes_stand_for_vectors():
    vectors = np.random.default_rng(0).normal(size=(50, 16)).astype(np.float32)
    vectors[7] = 0
    made = quantised(vectors)
    assert made["vectors"].dtype == np.int8
    again = made["vectors"] * made["scales"][:, None]
    assert np.abs(again - vectors).max() <= np.abs(vectors).max() / 127
    assert not again[7].any()


def test_pooling_joins_what_is_alike():
    ones, twos = np.array([[1, 0, 0]] * 6, np.float32), np.array([[0, 1, 0]] * 2, np.float32)
    made = pooled(np.concatenate([ones, twos]), 4)
    assert sorted(map(tuple, made.tolist())) == [(0, 1, 0), (1, 0, 0)]
    assert pooled(ones, 1) is ones
