import random

import pytest
from pydantic import ValidationError

from ragkit.documents import Block, Chunking, Page, SourceDocument, cut
from ragkit.documents.chunking import estimate_tokens
from ragkit.documents.chunking.parts import texts
from ragkit.documents.chunking.tokens import cut_tokens, split

SENTENCE = "Wheat needs about five hundred millimetres of rain in a season. "


def paged(*pages):
    made = tuple(Page(number, tuple(blocks)) for number, blocks in enumerate(pages, start=1))
    return SourceDocument("soil.pdf", made, {"source": "soil.pdf", "document": "soil.pdf"})


def row(text, name="r1"):
    return SourceDocument(name, (Page(None, (Block(text),)),), {"source": "rows", "document": name, "title": "T"})


def test_ids_of_paged_documents_count_within_the_page():
    blocks = [Block(SENTENCE.strip(), (0, y, 100, y + 10)) for y in (0, 20, 40, 60)]
    passages = cut(paged(blocks, blocks[:1]), Chunking(size=30)).passages
    assert [passage.id for passage in passages] == [
        "soil.pdf#p1.c0", "soil.pdf#p1.c1", "soil.pdf#p2.c0",
    ]  # fmt: skip
    assert [passage.metadata["page"] for passage in passages] == [1, 1, 2]


def test_ids_of_unpaged_documents():
    assert [passage.id for passage in cut(row("Short."), Chunking()).passages] == ["r1"]
    assert [passage.id for passage in cut(row(SENTENCE * 4), Chunking(size=30)).passages] == ["r1.c0", "r1.c1"]


def test_text_and_metadata_stay_as_they_are():
    (passage,) = cut(row("  Two  words\n"), Chunking()).passages
    assert passage.page_content == "Two  words"
    assert passage.metadata == {"source": "rows", "document": "r1", "title": "T"}
    assert passage.score is None and passage.hits == ()


def test_cuts_are_at_block_ends_and_boxes_are_the_union_of_their_blocks():
    blocks = [Block(SENTENCE.strip(), (10.0 + n, 20.0 * n, 100.0 + n, 20.0 * n + 10)) for n in range(4)]
    first, second = cut(paged(blocks), Chunking(size=30)).passages
    assert first.page_content == second.page_content == f"{SENTENCE.strip()}\n\n{SENTENCE.strip()}"
    assert first.metadata["box"] == [10.0, 0.0, 101.0, 30.0]
    assert second.metadata["box"] == [12.0, 40.0, 103.0, 70.0]


def test_a_long_block_is_cut_at_sentences_and_each_part_has_its_box():
    passages = cut(paged([Block(SENTENCE * 10, (1.0, 2.0, 3.0, 4.0))]), Chunking(size=50)).passages
    assert len(passages) > 1
    assert all(passage.page_content.endswith("season.") for passage in passages)
    assert all(passage.metadata["box"] == [1.0, 2.0, 3.0, 4.0] for passage in passages)


@pytest.mark.parametrize("overlap", [0, 10, 20])
def test_nothing_is_lost_and_sizes_hold(overlap):
    words = " ".join(f"word{number}, and" for number in range(700))
    settings = Chunking(size=40, overlap=overlap)
    passages = cut(row(words), settings).passages
    assert all(estimate_tokens(passage.page_content) <= 40 for passage in passages)
    held = " ".join(passage.page_content for passage in passages)
    assert all(f"word{number}," in held for number in range(700))
    assert len(held) > len(words) * (1.2 if overlap else 0.99)


def test_repeated_text_with_overlap_keeps_its_places():
    blocks = [Block("same words again and again. " * 12, (0.0, 50.0 * n, 9.0, 50.0 * n + 40)) for n in range(5)]
    tops = [passage.metadata["box"][1] for passage in cut(paged(blocks), Chunking(size=50, overlap=10)).passages]
    assert tops == sorted(tops)


def test_the_same_document_gives_the_same_passages():
    document = paged([Block(SENTENCE * 30, (0.0, 0.0, 1.0, 1.0))])
    assert [(p.id, p.page_content) for p in cut(document, Chunking(size=60)).passages] == [
        (p.id, p.page_content) for p in cut(document, Chunking(size=60)).passages
    ]


def test_a_word_longer_than_the_size_is_cut():
    passages = cut(row("A" * 2000), Chunking(size=16)).passages
    assert "".join(passage.page_content for passage in passages) == "A" * 2000
    assert all(estimate_tokens(passage.page_content) <= 16 for passage in passages)


def test_text_without_content_gives_no_passage():
    assert list(cut(row(" \n "), Chunking()).passages) == []


def test_a_tokenizer_can_count():
    passages = cut(row("one two three four " * 20), Chunking(size=16), length=lambda text: len(text.split())).passages
    assert [len(passage.page_content.split()) for passage in passages] == [16] * 5


def test_estimate():
    assert estimate_tokens("The cat sat.") == 4
    assert estimate_tokens("internationalisation") == 3
    assert estimate_tokens("1234567") == 3
    assert estimate_tokens("小麦需要水") == 5
    assert estimate_tokens("") == 0


def test_plain_text_is_counted_like_any_other():
    dice = random.Random(4)
    for _ in range(200):
        text = "".join(dice.choices([chr(code) for code in range(128)], k=80))
        assert estimate_tokens(text) == estimate_tokens(text + " é") - 1


@pytest.mark.parametrize(
    "values", [{"size": 0}, {"size": 15}, {"overlap": -1}, {"size": 100, "overlap": 51}, {"sise": 1}]
)
def test_wrong_settings_are_refused(values):
    with pytest.raises(ValidationError):
        Chunking(**values)


@pytest.mark.parametrize("values", [{"overlap": 10}, {"parent": {}}])
def test_pages_neither_overlap_nor_have_parents(values):
    with pytest.raises(ValidationError, match="another 'by'"):
        Chunking(by="page", **values)


def test_parents_are_not_smaller_than_passages():
    with pytest.raises(ValidationError, match="smaller than passages"):
        Chunking(size=200, parent={"size": 100})


def test_sections_go_on_from_page_to_page_and_end_with_the_next_heading_of_their_level():
    first = [
        Block("Soil", kind="heading", level=1),
        Block("Water", kind="heading", level=2),
        Block("Soil holds water."),
    ]
    second = [Block("It drains."), Block("Air", kind="heading", level=2), Block("Roots breathe.")]
    third = [Block("Crops", kind="heading", level=1), Block("Wheat.")]
    found = [p.metadata["section"] for p in cut(paged(first, second, third), Chunking(by="layout")).passages]
    assert found == [["Soil", "Water"], ["Soil", "Water"], ["Soil", "Air"], ["Crops"]]


def test_headings_lose_the_marks_of_markdown_in_the_section_only():
    blocks = [Block("## Soil ##", kind="heading", level=2), Block("Water\n-----", kind="heading", level=2), Block("x")]
    (passage,) = cut(SourceDocument("a.md", (Page(None, tuple(blocks)),), {}), Chunking()).passages
    assert passage.page_content == "## Soil ##\n\nWater\n-----\n\nx"
    assert passage.metadata["section"] == ["Water"]


def test_tables_and_figures_are_known_by_kind_only_where_nothing_else_is_in_the_passage():
    blocks = [Block("| a |\n| --- |\n| 1 |", kind="table"), Block("Around it."), Block("Figure 1: x", kind="figure")]
    kinds = [p.metadata.get("kind") for p in cut(paged(blocks), Chunking(by="layout")).passages]
    assert kinds == ["table", None, "figure"]
    (together,) = cut(paged(blocks), Chunking(by="tokens")).passages
    assert "kind" not in together.metadata


def test_a_page_is_a_passage():
    pages = [Block(SENTENCE * 40, (0, 0, 9, 9)), Block("End.", (5, 9, 20, 30))], [Block("Two.", (1, 1, 2, 2))]
    first, second = cut(paged(*pages), Chunking(by="page", size=50)).passages
    assert first.page_content == f"{SENTENCE * 40}\n\nEnd." and first.metadata["box"] == [0, 0, 20, 30]
    assert (first.id, second.id) == ("soil.pdf#p1.c0", "soil.pdf#p2.c0")
    assert len(cut(row(SENTENCE * 40), Chunking(by="page", size=50)).passages) > 5


def test_a_field_named_parent_is_not_taken_for_one():
    document = row("Short.")
    document.metadata["parent"] = "elsewhere"
    assert "parent" not in cut(document, Chunking()).passages[0].metadata


def test_blocks_are_packed_as_the_splitter_would():
    dice = random.Random(3)
    for _ in range(100):
        lengths = [dice.choice((1, 3, 8, 15, 40)) for _ in range(dice.randint(1, 12))]
        blocks = [Block(" ".join(dice.choices(("soil", "rain.", "x\ny", "7,"), k=count))) for count in lengths]
        ((_, (text, parts)),) = texts(paged(blocks))
        packed = cut_tokens(text, parts, Chunking(size=20), estimate_tokens)
        assert packed == split(text, 0, len(text), 20, 0, estimate_tokens)
