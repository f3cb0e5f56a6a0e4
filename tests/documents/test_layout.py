from ragkit.documents.document import Block
from ragkit.documents.layout import reading_order

PROSE = "\n".join(["a line of running text in a column"] * 6)


def order(*boxes):
    """Blocks named by their position in the arguments, in reading order; every block holds prose."""
    placed = [(tuple(map(float, box)), Block(f"{number}\n{PROSE}")) for number, box in enumerate(boxes)]
    return [int(block.text.split("\n")[0]) for block in reading_order(placed)]


def cells(*boxes):
    placed = [(tuple(map(float, box)), Block(str(number))) for number, box in enumerate(boxes)]
    return [int(block.text) for block in reading_order(placed)]


def test_one_column_goes_top_down():
    assert order((50, 400, 500, 500), (50, 100, 500, 200), (50, 250, 500, 350)) == [1, 2, 0]


def test_two_columns_go_left_then_right_even_if_their_paragraphs_line_up():
    boxes = [(50, 100, 280, 200), (310, 100, 540, 200), (50, 220, 280, 300), (310, 220, 540, 300)]
    assert order(*boxes) == [0, 2, 1, 3]


def test_spanning_headings_stay_between_the_columns_they_part():
    boxes = [
        (50, 50, 540, 80),  # title
        (50, 100, 280, 300), (310, 100, 540, 290),
        (50, 320, 540, 340),  # heading over both columns
        (50, 360, 280, 600), (310, 360, 540, 610),
        (280, 700, 310, 710),  # page number
    ]  # fmt: skip
    assert order(*reversed(boxes)) == [6, 5, 4, 3, 2, 1, 0]


def test_three_columns():
    boxes = [(x, y, x + 150, y + 90) for x in (50, 220, 390) for y in (100, 205)]
    assert order(*boxes) == [0, 1, 2, 3, 4, 5]


def test_a_column_that_starts_lower():
    assert order((310, 60, 540, 500), (50, 200, 280, 300), (50, 310, 280, 500)) == [1, 2, 0]


def test_rows_of_a_table_are_read_across():
    boxes = [(x, y, x + 60, y + 10) for y in (100, 130, 160) for x in (50, 200, 350)]
    assert cells(*boxes) == list(range(9))


def test_rows_of_a_table_with_prose_in_the_cells_are_read_across():
    boxes = [(x, y, x + 220, y + 60) for y in (100, 180, 260, 340) for x in (50, 310)]
    assert order(*boxes) == list(range(8))


def test_rotated_text_in_the_margin_does_not_disturb_the_columns():
    margin = (10, 100, 25, 600)
    assert order(margin, (50, 100, 280, 600), (310, 100, 540, 600)) == [0, 1, 2]


def test_overlapping_and_equal_boxes_end():
    assert sorted(order(*[(50, 50, 100, 100)] * 30)) == list(range(30))
    assert sorted(cells(*[(i, i, i + 50, i + 50) for i in range(200)])) == list(range(200))


def test_no_blocks():
    assert reading_order([]) == []


def test_a_page_of_thousands_of_marks():
    boxes = [(10 * (n % 60), 10 * (n // 60), 10 * (n % 60) + 3, 10 * (n // 60) + 8) for n in range(6000)]
    assert cells(*boxes) == list(range(6000))
