from ragkit.documents import Block, Chunking, Page, SourceDocument, cut
from ragkit.documents.chunking import estimate_tokens
from ragkit.documents.chunking.tables import split_table

SENTENCE = "Wheat needs about five hundred millimetres of rain in a season."


def heading(text, level=1):
    return Block(text, kind="heading", level=level)


def table(rows, caption="Table 1: Rain by month"):
    lines = [caption, "| month | rain |", "| --- | --- |", *(f"| month {n} | {n} mm |" for n in range(rows))]
    return Block("\n".join(lines), (0, 100, 200, 300), "table")


def texts(*blocks, **settings):
    document = SourceDocument("a.pdf", (Page(1, tuple(blocks)),), {})
    return [passage.page_content for passage in cut(document, Chunking(by="layout", **settings)).passages]


def test_no_passage_crosses_a_heading():
    found = texts(Block("Before."), heading("Soil"), Block("One."), Block("Two."), heading("Water"), Block("Three."))
    assert found == ["Before.", "Soil\n\nOne.\n\nTwo.", "Water\n\nThree."]


def test_headings_in_a_row_stay_with_what_follows():
    assert texts(heading("Soil"), heading("Clay", 2), Block("One.")) == ["Soil\n\nClay\n\nOne."]
    assert texts(Block("One."), heading("Alone")) == ["One.", "Alone"]


def test_a_long_section_is_cut_as_by_tokens():
    found = texts(heading("Soil"), *[Block(SENTENCE)] * 6, size=40)
    assert found[0].startswith("Soil\n\n") and all(estimate_tokens(text) <= 40 for text in found)
    assert "\n\n".join(found) == "\n\n".join(["Soil", *[SENTENCE] * 6])


def test_a_table_stays_whole_beyond_the_size_and_apart_from_the_text():
    whole = table(12)
    assert 50 < estimate_tokens(whole.text) < 200
    assert texts(Block("Before."), heading("Rain"), whole, Block("After."), size=50) == [
        "Before.",
        f"Rain\n\n{whole.text}",
        "After.",
    ]


def test_a_very_long_table_is_cut_between_rows_and_each_piece_has_caption_and_head():
    found = texts(heading("Rain"), table(200), size=60)
    head = "Table 1: Rain by month\n| month | rain |\n| --- | --- |\n"
    assert found[0].startswith(f"Rain\n\n{head}| month 0 |") and all(text.startswith(head) for text in found[1:])
    rows = [line for text in found for line in text.removeprefix("Rain\n\n").removeprefix(head).split("\n")]
    assert rows == [f"| month {n} | {n} mm |" for n in range(200)]
    assert all(estimate_tokens(text.removeprefix("Rain\n\n")) <= 60 for text in found)


def test_a_table_whose_head_is_too_long_or_missing_is_cut_all_the_same():
    for text in ("| " + "head " * 100 + "|\n| --- |\n" + "| x |\n" * 100, "a line without bars\n" * 100):
        found = texts(Block(text, kind="table"), size=16)
        assert len(found) > 4 and all(estimate_tokens(piece) <= 16 for piece in found)
        assert "".join("".join(found).split()) == "".join(text.split())


def test_a_row_longer_than_the_size_is_cut():
    found = texts(Block("| a |\n| --- |\n| " + "word " * 400 + "|", kind="table"), size=40)
    assert all(text.startswith("| a |\n| --- |\n") and estimate_tokens(text) <= 40 for text in found)
    assert sum(text.count("word") for text in found) == 400


def test_a_figure_is_a_passage():
    figure = Block("Figure 2: Roots\n0 10 20 cm", (0, 0, 9, 9), "figure")
    document = SourceDocument("a.pdf", (Page(1, (Block("Text."), figure)),), {})
    text, found = cut(document, Chunking(by="layout")).passages
    assert found.page_content == figure.text
    assert (found.metadata["kind"], found.metadata["box"]) == ("figure", [0, 0, 9, 9]) and "box" not in text.metadata


def test_blanks_without_end_in_a_table_cost_no_time():
    # Minutes if the blanks were tried in all ways.
    head = "| a | b |\n|---|" + " " * 400_000 + "x |"
    text = f"{head}\n" + "| 1 | 2 |\n" * 200
    assert "".join(rows for _, _, rows in split_table(text, 50, estimate_tokens)).count("| 1 | 2 |") == 200
