import importlib.util
import sys
from pathlib import Path

import pytest
from making import PROSE, Maker, blocks

from ragkit.documents.pdf import PdfSettings

ROOT = Path(__file__).parents[3]
CROPS = [
    ["Crop", "Depth, cm", "Seed, kg/ha"],
    ["Wheat", "4", "150"],
    ["Maize", "5", "25"],
    ["Soybean", "3.5", "70"],
    ["Oats", "4", "120"],
]
MARKDOWN = (
    "| Crop | Depth, cm | Seed, kg/ha |\n|---|---|---|\n| Wheat | 4 | 150 |\n| Maize | 5 | 25 |\n"
    "| Soybean | 3.5 | 70 |\n| Oats | 4 | 120 |"
)
WIDTHS = [120.0, 100.0, 100.0]


def tables(path, **settings):
    return [block for block in blocks(path, PdfSettings(ocr="off", **settings)) if block.kind == "table"]


@pytest.fixture
def page():
    return Maker().prose((50, 50, 540, 130))


def test_a_table_with_a_grid(page, tmp_path):
    page.rows(60, 160, CROPS, WIDTHS).grid(60, 160, WIDTHS, 5)
    (table,) = tables(page.write(tmp_path / "a.pdf"))
    assert table.text == MARKDOWN
    assert table.box[0] <= 60 and table.box[1] <= 161 and table.box[2] >= 379 and table.box[3] >= 239


def test_a_table_with_three_rules_only(page, tmp_path):
    page.rows(60, 160, CROPS, WIDTHS).rules(60, 160, [0, 16, 80], sum(WIDTHS))
    (table,) = tables(page.write(tmp_path / "a.pdf"))
    assert table.text == MARKDOWN


def test_a_table_without_any_rule(page, tmp_path):
    page.rows(60, 160, CROPS, WIDTHS).prose((50, 270, 540, 340))
    (table,) = tables(page.write(tmp_path / "a.pdf"))
    assert table.text == MARKDOWN


def test_a_table_whose_rows_are_shaded(page, tmp_path):
    for row in (0, 2, 4):
        page.page.draw_rect((60, 160 + row * 16, 380, 176 + row * 16), color=None, fill=(0.9, 0.9, 0.9))
    page.rows(60, 160, CROPS, WIDTHS)
    (table,) = tables(page.write(tmp_path / "a.pdf"))
    assert table.text == MARKDOWN


def test_the_words_of_a_table_are_not_text_too(page, tmp_path):
    page.rows(60, 160, CROPS, WIDTHS).grid(60, 160, WIDTHS, 5)
    path = page.write(tmp_path / "a.pdf")
    assert sum(block.text.count("Soybean") for block in blocks(path)) == 1
    assert tables(path, tables=False) == []
    assert sum(block.text.count("Soybean") for block in blocks(path, PdfSettings(ocr="off", tables=False))) == 1


@pytest.mark.parametrize("y", [154, 260])
def test_a_caption_above_or_below_belongs_to_the_table(page, tmp_path, y):
    page.rows(60, 160, CROPS, WIDTHS).grid(60, 160, WIDTHS, 5).text(60, y, "Table 3. Sowing of field crops.", 9)
    page.prose((50, 300, 540, 360), "As Table 3 shows, " + PROSE * 2)
    path = page.write(tmp_path / "a.pdf")
    (table,) = tables(path)
    assert table.text == f"Table 3. Sowing of field crops.\n{MARKDOWN}"
    assert sum("Sowing of field crops" in block.text for block in blocks(path)) == 1
    assert table.box[1] < y < table.box[3] + 1


def test_lines_of_a_cell_are_joined(page, tmp_path):
    rows = [["Weed", "Remark"], ["Striga", "Lives on the roots of"], ["", "maize and sorghum"], ["Kochia", "Tumbles"]]
    page.rows(60, 160, rows, [100, 200], height=12)
    page.rules(60, 160, [0, 13, 37, 50], 300)
    page.page.draw_line((160, 160), (160, 210), width=0.5)
    page.page.draw_line((60, 160), (60, 210), width=0.5)
    page.page.draw_line((360, 160), (360, 210), width=0.5)
    (table,) = tables(page.write(tmp_path / "a.pdf"))
    assert "| Striga | Lives on the roots of maize and sorghum |" in table.text


def test_a_head_over_two_columns_stands_in_both(page, tmp_path):
    rows = [["", "2023", "2022"], ["Net sales", "63,355", "63,948"], ["Cost of sales", "41,485", "40,899"]]
    page.rows(60, 176, rows, [150, 80, 80])
    page.text(225, 171, "Three Months Ended", 9)
    page.rules(60, 160, [0, 32, 64], 310)
    (table,) = tables(page.write(tmp_path / "a.pdf"))
    assert table.text.split("\n")[0] == "|  | Three Months Ended 2023 | Three Months Ended 2022 |"


def test_a_cell_over_several_rows_stands_in_each(page, tmp_path):
    rows = [["Stage", "Threshold"], ["", "5 per cent"], ["", "more than 10"], ["Whorl", "no spraying"]]
    page.rows(60, 160, rows, [100, 120]).text(63, 187, "Seedling", 9).text(63, 197, "to six leaves", 9)
    page.rules(60, 160, [0, 16, 48, 64], 220)
    page.page.draw_line((160, 192), (280, 192), width=0.5)
    for x in (60, 160, 280):
        page.page.draw_line((x, 160), (x, 224), width=0.5)
    (table,) = tables(page.write(tmp_path / "a.pdf"))
    assert "| Seedling to six leaves | 5 per cent |\n| Seedling to six leaves | more than 10 |" in table.text
    assert "| Whorl | no spraying |" in table.text


def test_currency_signs_go_to_their_numbers(page, tmp_path):
    rows = [
        ["Net sales", "$", "63,355", "$", "63,948"],
        ["Services", "", "19,604", "", "17,486"],
        ["Loss", "", "(15)", "", "—"],
        ["Total", "$", "82,944", "$", "81,434"],
    ]
    for number in (0, 2):
        page.page.draw_rect((60, 160 + number * 16, 420, 176 + number * 16), color=None, fill=(0.8, 0.9, 1))
    page.rows(60, 160, rows, [150, 20, 80, 30, 80])
    (table,) = tables(page.write(tmp_path / "a.pdf"))
    assert "| Net sales | $63,355 | $63,948 |" in table.text and "| Services | 19,604 | 17,486 |" in table.text


def test_bars_in_cells_are_escaped(page, tmp_path):
    rows = [["Name", "Symbol"], ["or", "a | b"], ["and", "a & b"]]
    page.rows(60, 160, rows, [100, 100]).grid(60, 160, [100, 100], 3)
    (table,) = tables(page.write(tmp_path / "a.pdf"))
    assert "| or | a \\| b |" in table.text


def test_two_columns_of_prose_between_rules_are_no_table(tmp_path):
    page = Maker().prose((50, 100, 280, 300)).prose((310, 100, 540, 300))
    page.rules(50, 95, [0, 210], 490)
    assert tables(page.write(tmp_path / "a.pdf")) == []


def test_a_bulleted_list_and_a_framed_paragraph_are_no_table(page, tmp_path):
    for number in range(5):
        page.text(60, 180 + 14 * number, "•").text(75, 180 + 14 * number, f"An item of the list, number {number}")
    page.page.draw_rect((50, 300, 540, 400))
    page.prose((60, 310, 530, 390))
    assert tables(page.write(tmp_path / "a.pdf")) == []


def test_cells_of_the_field_guide():
    """The bench's committed result says how many are right; here a floor keeps it from falling."""
    spec = importlib.util.spec_from_file_location("pdf_tables", ROOT / "eval" / "bench" / "pdf_tables.py")
    sys.path.insert(0, str(ROOT / "eval" / "bench"))
    try:
        bench = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(bench)
        results = bench.score_all(ROOT / "corpora" / "fieldguide")
    finally:
        sys.path.remove(str(ROOT / "eval" / "bench"))
    assert len(results) >= 20
    assert sum(row["right"] for row in results) >= 0.98 * sum(row["cells"] for row in results)
