import pymupdf
import pytest

from ragkit.documents import IngestReport, SourceFile, read_file
from ragkit.documents.pdf import PdfSettings, read_pdf
from ragkit.documents.pdf.text import normalised

LEFT = "Left column about soil and its structure. "
RIGHT = "Right column about water and irrigation. "


def read(path):
    report = IngestReport()
    return list(read_file(SourceFile(path, path.name), report, PdfSettings())), report


def write(path, *pages, **options):
    """Write a PDF whose pages are lists of (rectangle, text)."""
    with pymupdf.open() as pdf:
        for boxes in pages:
            page = pdf.new_page()
            for box, text in boxes:
                assert page.insert_textbox(pymupdf.Rect(box), text, fontsize=10) >= 0, "the text does not fit"
        pdf.save(path, **options)
    return path


@pytest.fixture
def two_columns(tmp_path):
    page = [
        ((310, 120, 540, 400), RIGHT * 12),
        ((50, 120, 280, 400), LEFT * 14),
        ((50, 50, 540, 80), "A heading that spans both of the columns of this page and is read first"),
    ]
    return write(tmp_path / "columns.pdf", page, [((50, 50, 540, 90), "Second page.")])


def test_columns_are_read_one_after_the_other(two_columns):
    (document,), report = read(two_columns)
    text = "\n".join(block.text for block in document.pages[0].blocks)
    assert text.index("A heading") < text.index("Left") < text.rindex("Left") < text.index("Right")
    assert [page.number for page in document.pages] == [1, 2]
    assert report.pages == 2 and report.skipped == []


def test_blocks_have_boxes_within_the_page(two_columns):
    (document,), _ = read(two_columns)
    for page in document.pages:
        for block in page.blocks:
            x0, y0, x1, y1 = block.box
            assert 0 <= x0 < x1 <= 595 and 0 <= y0 < y1 <= 842


def test_metadata(two_columns):
    (document,), _ = read(two_columns)
    assert document.id == "columns.pdf"
    assert document.metadata == {"source": "columns.pdf", "document": "columns.pdf"}


def test_hyphens_at_line_ends(tmp_path):
    text = "The irri-\ngation of long-\nterm plots. Long-term is written with a hyphen. Made in Winston-\nSalem."
    (document,), _ = read(write(tmp_path / "a.pdf", [((50, 50, 540, 200), text)]))
    joined = " ".join(block.text for block in document.pages[0].blocks)
    assert "irrigation" in joined and "long-term plots" in joined and "Winston-Salem" in joined


def test_paragraphs_are_unwrapped_and_lists_are_not(tmp_path):
    long = "a line that is long enough to be wrapped"
    text = f"{long}\n{long}\nends here.\nwheat\nmaize"
    (document,), _ = read(write(tmp_path / "a.pdf", [((50, 50, 540, 200), text)]))
    assert document.pages[0].blocks[0].text == f"{long} {long} ends here.\nwheat\nmaize"


def test_pages_without_text_are_counted(tmp_path):
    path = write(tmp_path / "a.pdf", [], [((50, 50, 540, 90), "Text.")], [])
    (document,), report = read(path)
    assert [page.number for page in document.pages] == [2]
    assert report.pages_without_text == 2
    assert "3 pages (2 without text)" in str(report)


def test_a_scanned_document_is_reported(tmp_path):
    documents, report = read(write(tmp_path / "scan.pdf", [], []))
    assert documents == []
    assert report.skipped == [("scan.pdf", "no text on any of its 2 pages")]


def test_encrypted(tmp_path):
    path = write(
        tmp_path / "a.pdf",
        [((50, 50, 540, 90), "Secret.")],
        encryption=pymupdf.PDF_ENCRYPT_AES_256,
        owner_pw="owner",
        user_pw="user",
    )
    assert read(path)[1].skipped == [("a.pdf", "encrypted: it needs a password")]


def test_an_owner_password_alone_does_not_keep_readers_out(tmp_path):
    path = write(
        tmp_path / "a.pdf", [((50, 50, 540, 90), "Public.")], encryption=pymupdf.PDF_ENCRYPT_AES_256, owner_pw="owner"
    )
    assert len(read(path)[0]) == 1


ZERO_PAGES = b"""%PDF-1.4
1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj
2 0 obj <</Type/Pages/Kids[]/Count 0>> endobj
trailer <</Root 1 0 R>>
%%EOF
"""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"Just some text with another name.", "not a PDF"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "not a PDF"),
        (b"%PDF-1.7\n" + b"\xff\x00garbage" * 200, "damaged"),
        (ZERO_PAGES, "it has no pages"),
    ],
)
def test_what_cannot_be_read_is_skipped_with_a_reason(tmp_path, capfd, content, reason):
    path = tmp_path / "broken.pdf"
    path.write_bytes(content)
    documents, report = read(path)
    assert documents == []
    ((place, given),) = report.skipped
    assert place == "broken.pdf" and reason in given and "\n" not in given
    assert capfd.readouterr() == ("", "")


def test_a_truncated_pdf_gives_what_is_left_or_a_reason(two_columns, capfd):
    data = two_columns.read_bytes()
    for share in (0.2, 0.5, 0.8, 0.95):
        two_columns.write_bytes(data[: int(len(data) * share)])
        documents, report = read(two_columns)
        assert documents or report.skipped
    assert capfd.readouterr() == ("", "")


def test_random_damage_never_raises(two_columns, capfd):
    import random

    data, dice = two_columns.read_bytes(), random.Random(1)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(dice.randint(1, 40)):
            damaged[dice.randrange(10, len(damaged))] = dice.randrange(256)
        two_columns.write_bytes(damaged)
        documents, report = read(two_columns)
        assert documents or report.skipped
    assert capfd.readouterr() == ("", "")


def test_messages_of_mupdf_are_shown_again_afterwards(two_columns):
    before = pymupdf.TOOLS.mupdf_display_errors()
    read(two_columns)
    assert pymupdf.TOOLS.mupdf_display_errors() == before


def test_ligatures_and_wide_forms_become_plain():
    assert normalised("e\ufb03cient \uff28\uff12\uff2f  x\u00a0y\n\n \uf0b7 item\0") == "efficient H2O x y\n• item"


PLAIN = PdfSettings(tables=False, figures=False, headings=False, drop_running=False, ocr="off")


@pytest.mark.parametrize("settings", [PLAIN, PdfSettings(ocr="off")])
@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_rotated_page_is_read_and_boxed_as_it_is_shown(tmp_path, rotation, settings):
    with pymupdf.open() as pdf:
        page = pdf.new_page(width=500, height=700)
        page.insert_text((60, 100), "The first line of a page that lies on its side")
        page.insert_text((60, 130), "and the second one, which belongs to it.")
        page.set_rotation(rotation)
        shown = page.rect
        place = (pymupdf.Rect(60, 85, 330, 135) * page.rotation_matrix).normalize()
        pdf.save(tmp_path / "a.pdf")
    report = IngestReport()
    (document,) = read_pdf(SourceFile(tmp_path / "a.pdf", "a.pdf"), report, settings)
    text = " ".join(block.text for block in document.pages[0].blocks)
    # Without a look at the directions of the lines, text that lies on its side is read in the order of the page.
    assert settings.plain or text.index("first") < text.index("second")
    assert "first line" in text and "second one" in text
    for block in document.pages[0].blocks:
        assert pymupdf.Rect(block.box) in shown and pymupdf.Rect(block.box).intersects(place)


def test_a_landscape_table_on_an_upright_page_is_read(tmp_path):
    with pymupdf.open() as pdf:
        page = pdf.new_page()
        for row, cells in enumerate([("Crop", "Depth"), ("Wheat", "4"), ("Maize", "5"), ("Oats", "3")]):
            for column, cell in enumerate(cells):
                page.insert_text((100 + 16 * row, 700 - 100 * column), cell, rotate=90)
        for row in range(5):
            page.draw_line((88 + 16 * row, 500), (88 + 16 * row, 710))
        pdf.save(tmp_path / "a.pdf")
    (document,) = read_pdf(SourceFile(tmp_path / "a.pdf", "a.pdf"), IngestReport(), PdfSettings(ocr="off"))
    (block,) = document.pages[0].blocks
    assert block.kind == "table" and "| Maize | 5 |" in block.text
    x0, y0, x1, y1 = block.box
    assert 80 < x0 < x1 < 160 and 490 < y0 < y1 < 720


def test_odd_boxes_do_no_harm(tmp_path):
    with pymupdf.open() as pdf:
        page = pdf.new_page()
        page.insert_text((50, 100), "A line of text that is inside the page")
        page.draw_rect((-1e5, -1e5, 1e5, 1e5))
        page.draw_line((50, 50), (50, 50))
        page.draw_rect((60, 60, 60, 200), fill=(1, 0, 0))
        page.insert_text((-400, -300), "far outside")
        pdf.new_page(width=3, height=3)
        pdf.new_page(width=14400, height=14400).insert_text((7000, 7000), "A very large page with a line of text")
        pdf[0].set_cropbox(pymupdf.Rect(20, 20, 500, 500))
        pdf.save(tmp_path / "a.pdf")
    (document,), report = read(tmp_path / "a.pdf")
    assert [page.number for page in document.pages] == [1, 3] and report.skipped == []
    assert document.pages[0].blocks[0].box[0] == pytest.approx(30, abs=1)


def test_hyphens_between_words_of_the_document_stay(tmp_path):
    from ragkit.documents.pdf.text import Mender

    mender = Mender(["water is soluble here", "the long-term plots", "irrigation"])
    assert mender.words("water-\nsoluble irri-\ngation long-\nterm sol\u00ad\nuble") == (
        "water-soluble irrigation long-term soluble"
    )


def test_rows_of_dots_are_cut():
    assert normalised("1 About OBS................................1\na . . . . . . . 2") == "1 About OBS ... 1\na ... 2"
