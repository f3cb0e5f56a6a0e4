from making import PROSE, Maker, blocks, read

from ragkit.documents.pdf import PdfSettings


def headings(path, **settings):
    return [(b.level, b.text) for b in blocks(path, PdfSettings(ocr="off", **settings)) if b.kind == "heading"]


def guide():
    page = Maker().text(50, 60, "Growing field crops", 20, bold=True)
    page.text(50, 90, "1 Soil", 14, bold=True).prose((50, 95, 540, 160))
    page.text(50, 180, "1.1 Structure", 11, bold=True).prose((50, 185, 540, 250))
    page.text(50, 270, "2 Water", 14, bold=True).prose((50, 275, 540, 340))
    page.text(50, 360, "2.1 Irrigation", 11, bold=True).prose((50, 365, 540, 430))
    return page


def test_headings_by_size_weight_and_number(tmp_path):
    path = guide().write(tmp_path / "a.pdf")
    assert headings(path) == [
        (1, "Growing field crops"), (1, "1 Soil"), (2, "1.1 Structure"), (1, "2 Water"), (2, "2.1 Irrigation"),
    ]  # fmt: skip
    assert headings(path, headings=False) == []


def test_levels_follow_the_sizes_where_nothing_is_numbered(tmp_path):
    page = Maker()
    for number in range(3):
        y = 60 + 240 * number
        page.text(50, y, f"Chapter about {['soil', 'water', 'wind'][number]}", 16, bold=True).prose(
            (50, y + 5, 540, y + 80)
        )
        page.text(50, y + 100, "Details", 12, bold=True).prose((50, y + 105, 540, y + 180))
    assert [level for level, _ in headings(page.write(tmp_path / "a.pdf"))] == [1, 2, 1, 2, 1, 2]


def test_the_outline_names_headings_that_look_like_text(tmp_path):
    page = (
        Maker().text(50, 60, "Of soils").prose((50, 80, 540, 160)).text(50, 180, "Of clay").prose((50, 200, 540, 280))
    )
    page.pdf.set_toc([[1, "Of soils", 1], [2, "Of clay", 1]])
    assert headings(page.write(tmp_path / "a.pdf")) == [(1, "Of soils"), (2, "Of clay")]


def test_a_heading_over_two_lines_is_one(tmp_path):
    page = Maker().text(50, 60, "The long way of the water from the", 16, bold=True)
    page.text(50, 79, "mountains to the fields of the plain", 16, bold=True).prose((50, 90, 540, 200))
    assert headings(page.write(tmp_path / "a.pdf")) == [
        (1, "The long way of the water from the mountains to the fields of the plain")
    ]


def test_bold_sentences_and_bold_documents_make_no_headings(tmp_path):
    page = Maker()
    for number in range(20):
        page.text(50, 60 + 30 * number, f"Everything here is set in bold, line number {number}", bold=True)
    assert headings(page.write(tmp_path / "a.pdf")) == []
    page = Maker().prose((50, 50, 540, 200), PROSE * 6)
    page.text(50, 230, "Never enter a bin of flowing grain, whatever has to be done in it,", bold=True)
    page.text(50, 244, "unless somebody stands by who can stop the unloading auger at once.", bold=True)
    assert headings(page.write(tmp_path / "b.pdf")) == []


def test_running_heads_and_feet_are_left_out(tmp_path):
    page = Maker()
    for number in range(1, 6):
        if number > 1:
            page.new_page()
        page.text(50, 30, "Field Guide Series", 8).text(450, 30, f"Number {number}", 8)
        page.prose((50, 60, 540, 200), f"Page {number} is about plot {number}. " + PROSE * 4).text(
            290, 820, str(number), 8
        )
    path = page.write(tmp_path / "a.pdf")
    document, _ = read(path)
    text = "\n".join(block.text for page in document.pages for block in page.blocks)
    assert "Series" not in text and "Number" not in text and [p.number for p in document.pages] == [1, 2, 3, 4, 5]
    assert all(len(page.blocks) == 1 for page in document.pages)
    kept, _ = read(path, PdfSettings(ocr="off", drop_running=False))
    assert all(any("Series" in block.text for block in page.blocks) for page in kept.pages)


def test_the_only_text_of_a_document_stays(tmp_path):
    page = Maker().text(50, 30, "Confidential draft")
    for _ in range(4):
        page.new_page().text(50, 30, "Confidential draft")
    document, _ = read(page.write(tmp_path / "a.pdf"))
    assert len(document.pages) == 5


def test_numbers_at_the_foot_that_do_not_count_pages_stay(tmp_path):
    page = Maker()
    for number, value in enumerate((75, 12, 903, 44, 8)):
        if number:
            page.new_page()
        page.prose((50, 60, 540, 200), PROSE * 4 + str(number)).text(290, 820, str(value), 10)
    document, _ = read(page.write(tmp_path / "a.pdf"))
    assert "903" in document.pages[2].blocks[-1].text
