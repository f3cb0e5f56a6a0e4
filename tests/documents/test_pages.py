import json

import pymupdf
import pytest

from ragkit.documents import IngestReport, PdfSettings, SourceFile, Unreadable
from ragkit.documents.page_image import PageImage
from ragkit.documents.page_reading import as_passages, read_pages
from ragkit.documents.page_settings import PageSettings
from ragkit.documents.pages import PAGES, Page, PageDocument, PageObject, iterate_pages
from ragkit.engine.state import Passage
from ragkit.errors import InputError

NO_OCR = PdfSettings(ocr="off")
CELLS = [["Crop", "Yield"], ["Wheat", "7.4"], ["Maize", "9.1"], ["Barley", "5.8"]]


def three_pages(path):
    """A page of text, one with a ruled table, one with a picture and its caption, and one without anything."""
    pdf = pymupdf.open()
    prose = "The field is drained before sowing and the soil is left to settle for some days. " * 6
    pdf.new_page().insert_textbox((72, 72, 500, 400), prose)
    page = pdf.new_page()
    page.insert_text((100, 92), "Table 1: Yields of the trial in tonnes per hectare.", fontsize=9)
    for row, cells in enumerate(CELLS):
        for column, cell in enumerate(cells):
            box = pymupdf.Rect(100 + 150 * column, 100 + 24 * row, 250 + 150 * column, 124 + 24 * row)
            page.draw_rect(box)
            page.insert_text((box.x0 + 5, box.y0 + 16), cell, fontsize=10)
    page = pdf.new_page()
    page.insert_textbox((72, 72, 500, 200), prose)
    picture = pymupdf.Pixmap(pymupdf.csRGB, pymupdf.IRect(0, 0, 60, 40))
    picture.set_rect(picture.irect, (200, 30, 30))
    page.insert_image((150, 300, 400, 460), pixmap=picture, keep_proportion=False)
    page.insert_text((160, 478), "Figure 2: A red field in autumn.", fontsize=9)
    pdf.new_page()
    pdf.save(path)
    return path


def read(path, settings=NO_OCR):
    report = IngestReport()
    return read_pages(SourceFile(path, path.name), report, settings, PageSettings(dpi=72)), report


@pytest.fixture
def document(tmp_path):
    return read(three_pages(tmp_path / "trial.pdf"))[0].document


def test_pages_hold_text_a_table_and_a_figure_where_they_stand(document):
    assert [page.number for page in document.pages] == [1, 2, 3, 4]
    assert "drained before sowing" in document.pages[0].text
    assert document.pages[0].objects == document.pages[3].objects == ()
    (table,) = document.pages[1].objects
    assert (table.id, table.category, table.label) == ("trial.pdf#p2.table1", "table", "Table 1")
    assert [list(row) for row in table.rows] == CELLS
    assert table.markdown.splitlines()[0] == "| Crop | Yield |"
    (figure,) = document.pages[2].objects
    assert (figure.category, figure.label, figure.rows) == ("figure", "Figure 2", ())
    assert figure.caption == "Figure 2: A red field in autumn."
    for page in document.pages:
        for one in page.objects:
            x0, y0, x1, y1 = one.box
            assert 0 <= x0 < x1 <= page.width
            assert 0 <= y0 < y1 <= page.height


def test_a_page_without_text_is_a_page(document):
    assert document.pages[3].text == document.pages[3].body == ""


def test_the_body_of_a_page_leaves_out_its_objects(document):
    page = document.pages[2]
    assert page.text_of(page.objects[0]) == "Figure 2: A red field in autumn."
    assert "drained" in page.body
    assert "red field" not in page.body
    assert document.pages[1].body == ""


def test_a_document_on_disk_is_the_same_again(document, tmp_path):
    document.save(tmp_path / "pages")
    lines = (tmp_path / "pages" / PAGES).read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == [1, 2, 3, 4]
    again = PageDocument.load(tmp_path / "pages")
    assert again == document
    assert list(iterate_pages(tmp_path / "pages")) == list(document.pages)


def test_pictures_are_made_when_they_are_asked_for_and_kept(document, tmp_path):
    document.save(tmp_path / "pages")
    page = PageDocument.load(tmp_path / "pages").pages[2]
    assert not list((tmp_path / "pages").glob("*.png"))
    crop = page.objects[0].image.open()
    assert crop.mode == "RGB"
    assert crop.getpixel((crop.width // 2, crop.height // 2)) == (200, 30, 30)
    assert [path.name for path in (tmp_path / "pages").glob("*.png")] == ["p0003-figure1.png"]
    first = page.image.png()
    document.pdf.unlink()
    assert PageDocument.load(tmp_path / "pages").pages[2].image.png() == first
    with pytest.raises(InputError, match="is gone"):
        page_two(tmp_path).image.png()


def page_two(folder):
    return PageDocument.load(folder / "pages").pages[1]


def test_a_passage_is_a_page_again(document, tmp_path):
    found, _ = read(document.pdf)
    document.save(tmp_path / "pages")
    passages = as_passages(found, "pages").passages
    assert [passage.id for passage in passages] == [f"trial.pdf#p{n}" for n in (1, 2, 3, 4)]
    passage = passages[1].model_copy(update={"metadata": passages[1].metadata | {"pages": str(tmp_path / "pages")}})
    through_json = Passage(**json.loads(passage.model_dump_json()))
    page = Page.of(through_json)
    assert page == document.pages[1]
    assert page.objects[0].image.file == tmp_path / "pages" / "p0002-table1.png"


def test_a_passage_that_is_no_page_says_so():
    with pytest.raises(InputError, match="give the index 'pages'"):
        Page.of(Passage(id="a#p1.c0", page_content="text", metadata={"page": 1}))


def test_plain_settings_give_plain_text_and_no_objects(tmp_path):
    plain = PdfSettings(tables=False, figures=False, headings=False, drop_running=False, ocr="off")
    found, report = read(three_pages(tmp_path / "trial.pdf"), plain)
    assert "Wheat" in found.document.pages[1].text
    assert "|" not in found.document.pages[1].text
    assert not any(page.objects for page in found.document.pages)
    assert report.without_text == {"trial.pdf": [4]}


def test_a_folder_without_a_document_says_so(tmp_path):
    with pytest.raises(InputError, match="holds no pages"):
        PageDocument.load(tmp_path)


def test_the_box_of_a_turned_page_is_that_of_the_page_as_it_is_shown(tmp_path):
    path = three_pages(tmp_path / "trial.pdf")
    with pymupdf.open(path) as pdf:
        pdf[1].set_rotation(90)
        pdf.save(tmp_path / "turned.pdf")
    page = read(tmp_path / "turned.pdf")[0].document.pages[1]
    assert (page.width, page.height) == (842.0, 595.0)
    (table,) = page.objects
    assert 0 <= table.box[0] < table.box[2] <= page.width
    assert 0 <= table.box[1] < table.box[3] <= page.height


def test_a_figure_of_one_pixel_is_no_object(tmp_path):
    pdf = pymupdf.open()
    page = pdf.new_page()
    page.insert_text((72, 72), "A page with a dot of a picture on it, and some words to read.")
    dot = pymupdf.Pixmap(pymupdf.csRGB, pymupdf.IRect(0, 0, 1, 1))
    page.insert_image((100, 100, 101, 101), pixmap=dot)
    pdf.save(tmp_path / "dot.pdf")
    document = read(tmp_path / "dot.pdf")[0].document
    assert document.pages[0].objects == ()


def test_a_page_of_fifty_thousand_shapes_is_read_and_shown(tmp_path):
    pdf = pymupdf.open()
    page = pdf.new_page()
    page.insert_text((72, 40), "Many marks on one page.")
    marks = "".join(f"{50 + n % 250 * 2} {100 + n // 250 * 3} 1 1 re f\n" for n in range(50_000))
    stream = pdf.get_new_xref()
    pdf.update_object(stream, "<<>>")
    pdf.update_stream(stream, marks.encode())
    pdf.xref_set_key(page.xref, "Contents", f"[{page.get_contents()[0]} 0 R {stream} 0 R]")
    pdf.save(tmp_path / "many.pdf")
    document = read(tmp_path / "many.pdf")[0].document
    assert "Many marks" in document.pages[0].text
    document.save(tmp_path / "pages")
    assert PageDocument.load(tmp_path / "pages").pages[0].image.open().size == (595, 842)


def test_a_picture_page_in_a_damaged_file(tmp_path):
    """The page tree of the file is cut off; PyMuPDF repairs what it finds, and the picture is a page without text."""
    pdf = pymupdf.open()
    page = pdf.new_page()
    picture = pymupdf.Pixmap(pymupdf.csRGB, pymupdf.IRect(0, 0, 200, 300))
    picture.set_rect(picture.irect, (240, 240, 240))
    page.insert_image(page.rect, pixmap=picture, keep_proportion=False)
    data = pdf.tobytes()
    (tmp_path / "cut.pdf").write_bytes(data[: data.rindex(b"xref")])
    found, report = read(tmp_path / "cut.pdf")
    assert found.document.pages[0].text == ""
    assert report.scanned == {"cut.pdf": [1]}
    found.document.save(tmp_path / "pages")
    shown = PageDocument.load(tmp_path / "pages").pages[0].image.open()
    assert shown.getpixel((100, 100)) == (240, 240, 240)


def test_what_is_no_pdf_is_unreadable(tmp_path):
    (tmp_path / "no.pdf").write_bytes(b"not at all")
    with pytest.raises(Unreadable, match="not a PDF"):
        read(tmp_path / "no.pdf")


def test_a_picture_is_whole_or_not_there(tmp_path):
    image = PageImage(tmp_path / "pages" / "p0001.png", tmp_path / "none.pdf", 1)
    image.keep(b"png")
    assert [path.name for path in (tmp_path / "pages").iterdir()] == ["p0001.png"]


def test_objects_go_through_json():
    one = PageObject("a#p1.table1", "table", (1.0, 2.0, 3.0, 4.0), "Table 1", "Table 1", (0, 9), (("a", "b"),), 1)
    assert PageObject.from_dict(json.loads(json.dumps(one.to_dict()))) == one
