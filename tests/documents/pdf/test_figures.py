import json

import pymupdf
import pytest
from making import Maker, blocks, read

from ragkit.documents.images import export_images, page_image
from ragkit.errors import InputError


def chart(page, caption="Figure 2. Yield by year."):
    """A bar chart with axes, labels and a caption below."""
    page.page.draw_line((100, 400), (300, 400))
    page.page.draw_line((100, 250), (100, 400))
    for number, height in enumerate((60, 90, 120)):
        page.page.draw_rect((120 + 60 * number, 400 - height, 150 + 60 * number, 400), fill=(0.2, 0.4, 0.7))
        page.text(124 + 60 * number, 412, str(2020 + number), 8)
    page.text(92, 340, "t/ha", 8, rotate=90)
    return page.text(100, 435, caption, 9) if caption else page


@pytest.fixture
def page():
    return Maker().text(50, 60, "1 Harvest", 14, bold=True).prose((50, 70, 540, 200))


def test_a_drawing_is_a_figure_with_its_caption_and_words(page, tmp_path):
    path = chart(page).prose((50, 500, 540, 600)).write(tmp_path / "a.pdf")
    (figure,) = [block for block in blocks(path) if block.kind == "figure"]
    lines = figure.text.split("\n")
    assert lines[0] == "Figure 2. Yield by year." and set(lines[1:]) == {"2020", "2021", "2022", "t/ha"}
    assert figure.box[0] <= 100 and figure.box[1] <= 281 and figure.box[2] >= 270 and figure.box[3] >= 430
    assert not any("2021" in block.text for block in blocks(path) if block.kind != "figure")
    assert [block.kind for block in blocks(path)] == ["heading", "text", "figure", "text"]


def test_a_picture_takes_the_caption_above_it(page, tmp_path):
    pixels = pymupdf.Pixmap(pymupdf.csRGB, (0, 0, 20, 20), False)
    pixels.clear_with(120)
    page.text(100, 240, "Fig. 7: Soil pit after irrigation").page.insert_image((100, 250, 300, 400), pixmap=pixels)
    (figure,) = [block for block in blocks(page.write(tmp_path / "a.pdf")) if block.kind == "figure"]
    assert figure.text == "Fig. 7: Soil pit after irrigation"


def test_a_sentence_about_a_figure_is_no_caption(page, tmp_path):
    page.prose((50, 420, 540, 480), "Figure 2 shows the yield of three years, and how it rose from one to the next.")
    path = chart(page, caption="").write(tmp_path / "a.pdf")
    assert any(block.kind == "text" and block.text.startswith("Figure 2 shows") for block in blocks(path))


def test_a_box_around_prose_is_no_figure(page, tmp_path):
    page.page.draw_rect((50, 250, 540, 400), fill=(0.95, 0.95, 0.8))
    page.prose((60, 260, 530, 390))
    assert [block.kind for block in blocks(page.write(tmp_path / "a.pdf"))] == ["heading", "text", "text"]


def test_logos_on_every_page_are_no_figures(tmp_path):
    pixels = pymupdf.Pixmap(pymupdf.csRGB, (0, 0, 20, 20), False)
    pixels.clear_with(90)
    page = Maker()
    for number in range(4):
        if number:
            page.new_page()
        page.prose((50, 200, 540, 400)).page.insert_image((400, 30, 540, 110), pixmap=pixels)
    _, report = read(page.write(tmp_path / "a.pdf"))
    exported = export_images(tmp_path / "a.pdf", tmp_path / "out")
    assert report.figures == 0 and exported == []


def test_page_image_of_a_page_and_of_a_box(page, tmp_path):
    path = chart(page).write(tmp_path / "a.pdf")
    whole = pymupdf.Pixmap(page_image(path, 1, 72))
    assert (whole.width, whole.height) == (595, 842)
    part = pymupdf.Pixmap(page_image(path, 1, 144, (120, 300, 220, 350)))
    assert (part.width, part.height) == (200, 100)


def test_page_image_refuses_what_is_not_there(page, tmp_path):
    path = page.write(tmp_path / "a.pdf")
    with pytest.raises(InputError, match=r"there is no page 2 \(it has 1\)"):
        page_image(path, 2)
    with pytest.raises(InputError, match="outside the page"):
        page_image(path, 1, box=(2000, 0, 2100, 100))
    with pytest.raises(InputError, match="choose a lower resolution"):
        page_image(path, 1, 5000)


def test_exported_figures_are_listed_with_caption_and_section(page, tmp_path):
    pixels = pymupdf.Pixmap(pymupdf.csRGB, (0, 0, 300, 420), False)
    pixels.clear_with(200)
    chart(page).new_page().page.insert_image((0, 0, 595, 842), pixmap=pixels)
    path = page.write(tmp_path / "a.pdf")
    exported = export_images(path, tmp_path / "out", dpi=72)
    assert [(e.file, e.page, e.caption, e.section) for e in exported] == [
        ("page0001-figure1.png", 1, "Figure 2. Yield by year.", ("1 Harvest",)),
        ("page0002.png", 2, "", ("1 Harvest",)),
    ]
    listing = json.loads((tmp_path / "out" / "images.json").read_text())
    assert [row["file"] for row in listing] == [e.file for e in exported] and listing[1]["box"] is None
    x0, y0, x1, y1 = exported[0].box
    picture = pymupdf.Pixmap(str(tmp_path / "out" / exported[0].file))
    assert abs(picture.width - (x1 - x0)) <= 2 and abs(picture.height - (y1 - y0)) <= 2
