import pytest

from ragkit.documents import Chunking, IngestReport, PdfSettings, SourceFile, cut, read_file


def read(tmp_path, html):
    path = tmp_path / "a.html"
    path.write_text(html, encoding="utf-8")
    (document,) = read_file(SourceFile(path, "a.html"), IngestReport(), PdfSettings())
    return document


def blocks(tmp_path, html):
    return [(block.kind, block.level, block.text) for block in read(tmp_path, html).pages[0].blocks]


def test_headings_have_their_levels(tmp_path):
    html = "<h1>Crops</h1>Intro<h3>All <i>about</i>\n wheat</h3><div><p>Sow early.</div>tail"
    assert blocks(tmp_path, html) == [
        ("heading", 1, "Crops"),
        ("text", 0, "Intro"),
        ("heading", 3, "All about wheat"),
        ("text", 0, "Sow early."),
        ("text", 0, "tail"),
    ]
    sections = [p.metadata["section"] for p in cut(read(tmp_path, html), Chunking(by="layout")).passages]
    assert sections == [["Crops"], ["Crops", "All about wheat"]]


def test_tables_of_data_become_markdown_with_their_caption(tmp_path):
    html = """<table><caption>Rain by <b>month</b></caption><thead><tr><th>month<th>mm</thead>
    <tr><td>May<td>40 | 41<tr><td>June</table>"""
    assert blocks(tmp_path, html) == [
        ("table", 0, "Rain by month\n| month | mm |\n| --- | --- |\n| May | 40 \\| 41 |\n| June |  |")
    ]


def test_cells_that_span_stand_in_each_row_and_column(tmp_path):
    html = """<table><tr><th rowspan=2>crop<th colspan=2>yield<tr><th>low<th>high
    <tr><td rowspan=2>wheat<td>3<td>8<tr><td>4<td>9</table>"""
    assert blocks(tmp_path, html)[0][2].splitlines() == [
        "| crop | yield | yield |",
        "| --- | --- | --- |",
        "| crop | low | high |",
        "| wheat | 3 | 8 |",
        "| wheat | 4 | 9 |",
    ]


@pytest.mark.parametrize(
    "html",
    [
        "<table><tr><td><h2>Left</h2><td>Right<tr><td>a<td>b</table>",
        "<table><tr><td>Left<td><table><tr><td>in</table><tr><td>a<td>b</table>",
        f"<table><tr><td>Left<td>{'long ' * 300}<tr><td>a<td>b</table>",
        "<table><tr><td>Left<td>Right</table>",
        "<table><tr><td>Left<tr><td>Right</table>",
    ],
)
def test_tables_that_only_arrange_are_text(tmp_path, html):
    found = blocks(tmp_path, html)
    assert found[0][2].startswith("Left") and all(kind != "table" for kind, _, _ in found)


def test_figures(tmp_path):
    html = (
        "<figure><img src=x alt=field><figcaption>Figure 1: wheat</figcaption></figure><figure><img alt=map></figure>"
    )
    assert blocks(tmp_path, html) == [("figure", 0, "Figure 1: wheat"), ("figure", 0, "map")]


def test_a_table_in_a_figure_is_a_table(tmp_path):
    html = "<figure><figcaption>Table 1</figcaption><table><tr><td>a<td>b<tr><td>1<td>2</table></figure>"
    assert [(kind, text[:7]) for kind, _, text in blocks(tmp_path, html)] == [("text", "Table 1"), ("table", "| a | b")]


def test_what_is_not_seen_is_not_read(tmp_path):
    html = "<!-- no --><p>yes<script>no</script><style>no</style><template>no</template><![CDATA[no]]>"
    assert blocks(tmp_path, html) == [("text", 0, "yes")]


@pytest.mark.parametrize(
    "html",
    [
        "<table><tr><td colspan=99999>a<td>b<tr><td rowspan=99999>1<td>2</table>",
        "<table><tr><td colspan=-1>a<td rowspan=x>b<tr><td colspan=0>1<td>2</table>",
        "<h1>" * 3000 + "deep",
        "<table><tr><td>" * 2000 + "deep",
        "<figure>" * 2000 + "deep",
        # What costs the square of the depth would take minutes here.
        "<p>first</p>" + "<figure>" * 30_000,
        "<figure>" * 30_000 + "<table><tr><td>a<td>b<tr><td>c<td>d",
        "<table>" * 30_000 + "<td>deep",
    ],
)
def test_hostile_pages_are_read(tmp_path, html):
    assert sum(len(text) for _, _, text in blocks(tmp_path, html)) < 10_000
