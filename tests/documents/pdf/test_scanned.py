import pytest
from making import PROSE, Maker, read

from ragkit.documents import IngestReport, SourceFile, Unreadable
from ragkit.documents.pdf import PdfSettings, read_pdf, scanned


def scan(tmp_path, text_page=True):
    """A PDF whose last page is a picture of a page."""
    source = Maker().text(60, 80, "SAFETY NOTICE", 20, bold=True).prose((60, 100, 500, 300), PROSE * 5, size=12)
    picture = source.page.get_pixmap(dpi=200)
    page = Maker()
    if text_page:
        page.prose((50, 50, 540, 200)).new_page()
    page.page.insert_image(page.page.rect, pixmap=picture)
    return page.write(tmp_path / "scan.pdf")


def test_a_scanned_page_is_reported(tmp_path):
    document, report = read(scan(tmp_path))
    assert [page.number for page in document.pages] == [1]
    assert report.scanned == {"scan.pdf": [2]} and report.pages_without_text == 1 and report.figures == 0
    assert "scanned scan.pdf: page 2 not read" in str(report)


@pytest.mark.parametrize("extra", [{}, {"tables": False, "figures": False, "headings": False, "drop_running": False}])
def test_a_document_of_scans_says_what_to_do(tmp_path, monkeypatch, extra):
    monkeypatch.setattr(scanned, "_language_data", lambda language: None)
    path, report = scan(tmp_path, text_page=False), IngestReport()
    with pytest.raises(Unreadable, match=r"no text on its only page .*install Tesseract with the language 'deu'"):
        list(read_pdf(SourceFile(path, "scan.pdf"), report, PdfSettings(language="deu", **extra)))
    assert report.scanned == {"scan.pdf": [1]}


def test_empty_pages_are_no_scans(tmp_path):
    _, report = read(Maker().prose((50, 50, 540, 200)).new_page().write(tmp_path / "a.pdf"))
    assert report.scanned == {} and report.pages_without_text == 1


@pytest.mark.skipif(scanned._language_data("eng") is None, reason="Tesseract with English is not installed")
@pytest.mark.parametrize("extra", [{}, {"tables": False, "figures": False, "headings": False, "drop_running": False}])
def test_scanned_pages_are_recognised(tmp_path, extra):
    document, report = read(scan(tmp_path), PdfSettings(dpi=150, **extra))
    assert report.recognised == {"scan.pdf": [2]} and report.scanned == {}
    text = " ".join(block.text for block in document.pages[1].blocks)
    assert "SAFETY NOTICE" in text and "drained before sowing" in text
    x0, y0, x1, y1 = document.pages[1].blocks[0].box
    assert 40 < x0 < x1 < 595 and 40 < y0 < y1 < 320
    assert "recognised scan.pdf: page 2 by OCR" in str(report)


def test_letters_without_meaning_are_as_good_as_none():
    from ragkit.documents.pdf.text import is_garbage

    assert is_garbage("\ufffd\ufffd\ue012 \ufffd\ufffdab\ufffd\ufffd\ufffd") and is_garbage("Page 3")
    assert not is_garbage("Der Boden ist nass, °C und € stehen auch da.")


def test_a_language_that_is_not_installed():
    assert scanned._language_data("xxx_none") is None
