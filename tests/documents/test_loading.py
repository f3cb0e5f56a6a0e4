import gzip
import json
import os

import pytest

from ragkit.documents import IngestReport, PdfSettings, SourceFile, discover, read_file
from ragkit.errors import InputError


def put(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def load(*paths):
    report = IngestReport()
    files = [SourceFile(path, path.name) for path in paths]
    return [document for file in files for document in read_file(file, report, PdfSettings())], report


def text_of(document):
    return "\n".join(block.text for page in document.pages for block in page.blocks)


class TestDiscover:
    def test_ids_are_relative_to_the_deepest_common_folder(self, tmp_path):
        for name in ("docs/b/two.txt", "docs/a/one.txt", "docs/a/deep/three.txt", "other/x.txt"):
            put(tmp_path, name, "x")
        files = discover(["docs/**/*.txt"], tmp_path)
        assert [file.id for file in files] == ["a/deep/three.txt", "a/one.txt", "b/two.txt"]
        assert [file.id for file in discover(["docs/a/*.txt"], tmp_path)] == ["one.txt"]

    def test_files_come_once_and_sorted(self, tmp_path):
        put(tmp_path, "b.txt", "x")
        put(tmp_path, "a.txt", "x")
        files = discover(["*.txt", "b.txt", str(tmp_path / "*.txt"), f"../{tmp_path.name}/a.txt"], tmp_path)
        assert [file.id for file in files] == ["a.txt", "b.txt"]

    def test_a_pattern_without_match_is_named(self, tmp_path):
        put(tmp_path, "a.txt", "x")
        with pytest.raises(InputError, match=r"'\*\.pdf' matches no file"):
            discover(["a.txt", "*.pdf"], tmp_path)

    def test_a_folder_gets_a_hint(self, tmp_path):
        put(tmp_path, "docs/a.txt", "x")
        with pytest.raises(InputError, match=r"it is a folder, try 'docs/\*'"):
            discover(["docs/"], tmp_path)

    def test_no_pattern(self, tmp_path):
        with pytest.raises(InputError, match="no file is named"):
            discover([], tmp_path)

    def test_names_with_brackets_and_hidden_files(self, tmp_path):
        put(tmp_path, "report[1].txt", "x")
        put(tmp_path, ".hidden.txt", "x")
        assert [file.id for file in discover(["report[1].txt"], tmp_path)] == ["report[1].txt"]
        assert [file.id for file in discover(["*"], tmp_path)] == ["report[1].txt"]

    def test_links_keep_their_own_names(self, tmp_path):
        put(tmp_path, "store/0001.txt", "x")
        (tmp_path / "docs").mkdir()
        (tmp_path / "docs/soil.txt").symlink_to(tmp_path / "store/0001.txt")
        assert [file.id for file in discover(["docs/*"], tmp_path)] == ["soil.txt"]


class TestText:
    def test_paragraphs_and_markdown_title(self, tmp_path):
        (document,), report = load(put(tmp_path, "a.md", "\n# Soil #\n\nFirst\nline.\n\n\nSecond.\n"))
        assert [block.text for block in document.pages[0].blocks] == ["# Soil #", "First\nline.", "Second."]
        assert document.metadata == {"source": "a.md", "document": "a.md", "title": "Soil"}
        assert document.pages[0].number is None
        assert (report.pages, report.skipped) == (0, [])

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_unicode(self, tmp_path, encoding):
        text = "Bodenkunde für Anfänger 土壤 🌱"
        (document,), _ = load(put(tmp_path, "a.txt", text.encode(encoding)))
        assert text_of(document) == text

    @pytest.mark.parametrize(
        ("content", "reason"),
        [(b"caf\xe9", "not UTF-8"), (b"a\0b", "NUL"), (b"", "no text"), (b" \n\t\n", "no text")],
    )
    def test_broken(self, tmp_path, content, reason):
        documents, report = load(put(tmp_path, "a.txt", content))
        assert documents == [] and reason in report.skipped[0][1]


class TestHtml:
    def test_visible_text_in_blocks(self, tmp_path):
        html = """<html><head><title> Crop
        guide</title><style>p {color: red}</style></head><body><script>alert(1)</script>
        <h1>Wheat</h1><p>Sow <b>ear</b>ly &amp; deep.<br>Then wait.</p>
        <table><tr><td>N</td><td>60</td></tr></table><ul><li>one<li>two</ul></body></html>"""
        (document,), _ = load(put(tmp_path, "a.html", html))
        blocks = [block.text for block in document.pages[0].blocks]
        assert blocks == ["Wheat", "Sow early & deep. Then wait.", "N 60", "one", "two"]
        assert document.metadata["title"] == "Crop guide"

    def test_declared_encoding(self, tmp_path):
        html = '<meta charset="iso-8859-1"><p>Bodengüte</p>'.encode("latin-1")
        (document,), _ = load(put(tmp_path, "a.htm", html))
        assert text_of(document) == "Bodengüte"

    def test_deep_nesting(self, tmp_path):
        documents, report = load(put(tmp_path, "a.html", "<div>" * 5000 + "deep" + "</div>" * 5000))
        assert [text_of(document) for document in documents] == ["deep"] or report.skipped

    def test_nothing_visible(self, tmp_path):
        documents, report = load(put(tmp_path, "a.html", "<script>x</script>"))
        assert documents == [] and report.skipped == [("a.html", "it holds no text")]


class TestRows:
    def test_rows_become_documents(self, tmp_path):
        rows = [{"id": "r1", "text": "One.", "title": "T", "year": 2020}, {"id": 2, "text": "Two."}]
        data = "\n".join(map(json.dumps, rows)).encode()
        for path in (put(tmp_path, "rows.jsonl", data), put(tmp_path, "rows.jsonl.gz", gzip.compress(data))):
            documents, report = load(path)
            assert [document.id for document in documents] == ["r1", "2"]
            assert documents[0].metadata == {"title": "T", "year": 2020, "source": "rows", "document": "r1"}
            assert report.skipped == []

    def test_bad_lines_are_named_and_the_others_are_read(self, tmp_path):
        lines = [
            b'{"id": "a", "text": "fine"}',
            b"{broken",
            b"[1]",
            b'{"text": "no id"}',
            b'{"id": true, "text": "x"}',
            b'{"id": "b"}',
            b'{"id": "c", "text": "  "}',
            b'{"id": "d", "text": "\xff"}',
            b"",
            b"[" * 100_000,
            b'{"id": "e", "text": "fine too"}',
        ]
        documents, report = load(put(tmp_path, "rows.jsonl", b"\n".join(lines)))
        assert [document.id for document in documents] == ["a", "e"]
        reasons = dict(report.skipped)
        assert list(reasons) == [f"rows.jsonl:{number}" for number in (2, 3, 4, 5, 6, 7, 8, 10)]
        assert "column 2" in reasons["rows.jsonl:2"] and "UTF-8" in reasons["rows.jsonl:8"]

    def test_lone_surrogates_and_nul_are_made_storable(self, tmp_path):
        (document,), _ = load(put(tmp_path, "a.jsonl", r'{"id": "x", "text": "a\ud800b\u0000c \ud83c\udf31"}'))
        assert text_of(document) == "a\ufffdbc 🌱"

    def test_damaged_gzip_gives_the_rows_before_the_damage(self, tmp_path):
        data = "\n".join(json.dumps({"id": f"r{n}", "text": os.urandom(50).hex()}) for n in range(5000)).encode()
        path = put(tmp_path, "a.jsonl.gz", gzip.compress(data)[:-2000])
        documents, report = load(path)
        assert 0 < len(documents) < 5000
        assert "damaged" in report.skipped[-1][1]
        path.write_bytes(b"not gzip")
        assert "damaged" in load(path)[1].skipped[0][1]


def test_unknown_format_and_missing_file(tmp_path):
    documents, report = load(put(tmp_path, "a.docx", "x"), put(tmp_path, "noext", "x"), tmp_path / "gone.txt")
    assert documents == []
    assert [place for place, _ in report.skipped] == ["a.docx", "noext", "gone.txt"]
    assert "unknown format '.docx'" in report.skipped[0][1]


def test_a_long_report_is_cut(tmp_path):
    report = IngestReport()
    for number in range(50):
        report.skip(f"{number}.pdf", "damaged")
    assert str(report).endswith("skipped 30 more")


def test_suffixes_in_capitals(tmp_path):
    assert len(load(put(tmp_path, "A.TXT", "text"))[0]) == 1
