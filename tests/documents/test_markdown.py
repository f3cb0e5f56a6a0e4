import pytest

from ragkit.documents import Chunking, IngestReport, PdfSettings, SourceFile, cut, read_file


def read(tmp_path, text):
    path = tmp_path / "a.md"
    path.write_text(text, encoding="utf-8")
    (document,) = read_file(SourceFile(path, "a.md"), IngestReport(), PdfSettings())
    return document


def blocks(tmp_path, text):
    return [(block.kind, block.level, block.text) for block in read(tmp_path, text).pages[0].blocks]


def test_headings_have_their_levels(tmp_path):
    text = "# One #\n\n## Two\nText right below.\n\nThree\n=====\n\nFour\n----\n\n#not a heading\n"
    assert blocks(tmp_path, text) == [
        ("heading", 1, "# One #"),
        ("heading", 2, "## Two"),
        ("text", 0, "Text right below."),
        ("heading", 1, "Three\n====="),
        ("heading", 2, "Four\n----"),
        ("text", 0, "#not a heading"),
    ]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("## Two\n\n# One #\n", "One"),
        ("One\n===\n", "One"),
        ("```\n# code\n```\n", None),
        ("---\na: b\n---\n\nText\n", None),
    ],
)
def test_title(tmp_path, text, title):
    assert read(tmp_path, text).metadata.get("title") == title


def test_what_looks_like_a_heading_in_code_is_code(tmp_path):
    text = "```sh\n# a comment\n\n# another\n```\n\n    # indented\n"
    assert blocks(tmp_path, text) == [("text", 0, "```sh\n# a comment\n\n# another\n```"), ("text", 0, "# indented")]


def test_tables_have_their_caption(tmp_path):
    table = "| a | b |\n|---|---|\n| 1 | 2 |"
    assert blocks(tmp_path, f"Before.\n\n**Table 3:** Rain.\n\n{table}\n\nAfter.\n") == [
        ("text", 0, "Before."),
        ("table", 0, f"**Table 3:** Rain.\n{table}"),
        ("text", 0, "After."),
    ]
    assert blocks(tmp_path, f"Table 3 shows this.\n\n# Rain\n\n{table}\n")[0] == ("text", 0, "Table 3 shows this.")


def test_nothing_is_lost(tmp_path):
    text = (
        "---\ntitle: x\n---\n# A\n\n[link]: http://example.org\n[other]: /y\n\n- one\n\n  two\n- three\n\n> quoted\n\n"
        "***\n<div>\nhtml\n</div>\n\nTable 9\n\n[last]: /z\n"
    )
    held = "".join(text for _, _, text in blocks(tmp_path, text))
    assert "".join(held.split()) == "".join(text.split())


def test_front_matter_is_no_heading(tmp_path):
    assert blocks(tmp_path, "---\ntitle: x\n---\n# A\n")[0] == ("text", 0, "---\ntitle: x\n---")


def test_passages_know_their_section(tmp_path):
    document = read(tmp_path, "# Crops\n\n## Wheat\n\nSow early.\n\n## Maize\n\nSow late.\n")
    assert [(p.metadata["section"], p.metadata["title"]) for p in cut(document, Chunking(by="layout")).passages] == [
        (["Crops", "Wheat"], "Crops"),
        (["Crops", "Maize"], "Crops"),
    ]


@pytest.mark.parametrize(
    "text", ["[" * 20_000, "> " * 5_000 + "deep", "- " * 3_000 + "deep", "a\n" * 50_000, "`" * 9_999]
)
def test_strange_texts_are_read(tmp_path, text):
    assert read(tmp_path, text).pages[0].blocks
