import pymupdf
import pytest

from ragkit.documents import IngestReport, SourceFile, load_documents

LEFT = "Left column about soil and its structure. "
RIGHT = "Right column about water and irrigation. "


def read(path):
    report = IngestReport()
    return list(load_documents([SourceFile(path, path.name)], report)), report


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
    assert "2 pages without text" in str(report)


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
    from ragkit.documents.pdf.text import normalised

    assert normalised("e\ufb03cient \uff28\uff12\uff2f  x\u00a0y\n\n \uf0b7 item\0") == "efficient H2O x y\n• item"
