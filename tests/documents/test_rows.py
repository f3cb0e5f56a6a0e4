"""Rows of JSONL: ragkit's own, BEIR's and FlashRAG's, and what is said of others."""

import json

import pytest

from ragkit.documents.document import IngestReport, SourceDocument, SourceFile
from ragkit.documents.rows import read_rows


def read(tmp_path, *rows: object) -> tuple[list[SourceDocument], IngestReport]:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = IngestReport()
    return list(read_rows(SourceFile(path, "rows.jsonl"), report)), report


@pytest.mark.parametrize(
    ("row", "title", "text"),
    [
        ({"id": "a", "title": "Rye", "text": "Rye is baked."}, "Rye", "Rye is baked."),
        ({"_id": "a", "title": "Rye", "text": "Rye is baked.", "metadata": {}}, "Rye", "Rye is baked."),
        ({"id": "a", "contents": '"Rye"\nRye is baked.\nAlways.'}, "Rye", "Rye is baked.\nAlways."),
        ({"id": "a", "contents": "Rye is baked."}, None, "Rye is baked."),
        ({"id": "a", "title": "Own", "contents": "One\nTwo"}, "Own", "One\nTwo"),
    ],
)
def test_forms_of_rows(tmp_path, row, title, text):
    (document,), report = read(tmp_path, row)
    assert (document.id, document.metadata.get("title")) == ("a", title)
    assert document.pages[0].blocks[0].text == text and not report.skipped
    assert not {"_id", "contents"} & document.metadata.keys()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"docid": 1, "text": "x"}, "'id' is missing (the row has docid, text)"),
        ({"id": 1, "passage": "x"}, "'text' is missing (the row has passage)"),
        ({"id": 1}, "'text' is missing"),
        (
            {"id": 1} | {f"f{n}": n for n in range(9)},
            "'text' is missing (the row has f0, f1, f2, f3, f4, f5, f6, f7, ...)",
        ),
        ({"id": True, "text": "x"}, "'id' is neither a text nor a whole number, or empty"),
        ({"id": 1, "contents": 5}, "'text' is not a text"),
        ({"id": 1, "contents": "Title\n "}, None),
    ],
)
def test_rows_that_lack_something(tmp_path, row, reason):
    documents, report = read(tmp_path, row)
    if reason is None:
        assert [document.pages[0].blocks[0].text for document in documents] == ["Title\n "]
    else:
        assert not documents and report.skipped == [("rows.jsonl:1", reason)]
