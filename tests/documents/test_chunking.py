import pytest
from pydantic import ValidationError

from ragkit.documents import Block, Chunking, Page, SourceDocument, chunk
from ragkit.documents.chunking import estimate_tokens

SENTENCE = "Wheat needs about five hundred millimetres of rain in a season. "


def paged(*pages):
    made = tuple(Page(number, tuple(blocks)) for number, blocks in enumerate(pages, start=1))
    return SourceDocument("soil.pdf", made, {"source": "soil.pdf", "document": "soil.pdf"})


def row(text, name="r1"):
    return SourceDocument(name, (Page(None, (Block(text),)),), {"source": "rows", "document": name, "title": "T"})


def test_ids_of_paged_documents_count_within_the_page():
    blocks = [Block(SENTENCE.strip(), (0, y, 100, y + 10)) for y in (0, 20, 40, 60)]
    passages = list(chunk(paged(blocks, blocks[:1]), Chunking(size=30)))
    assert [passage.id for passage in passages] == [
        "soil.pdf#p1.c0", "soil.pdf#p1.c1", "soil.pdf#p2.c0",
    ]  # fmt: skip
    assert [passage.metadata["page"] for passage in passages] == [1, 1, 2]


def test_ids_of_unpaged_documents():
    assert [passage.id for passage in chunk(row("Short."), Chunking())] == ["r1"]
    assert [passage.id for passage in chunk(row(SENTENCE * 4), Chunking(size=30))] == ["r1.c0", "r1.c1"]


def test_text_and_metadata_stay_as_they_are():
    (passage,) = chunk(row("  Two  words\n"), Chunking())
    assert passage.page_content == "Two  words"
    assert passage.metadata == {"source": "rows", "document": "r1", "title": "T"}
    assert passage.score is None and passage.hits == ()


def test_cuts_are_at_block_ends_and_boxes_are_the_union_of_their_blocks():
    blocks = [Block(SENTENCE.strip(), (10.0 + n, 20.0 * n, 100.0 + n, 20.0 * n + 10)) for n in range(4)]
    first, second = chunk(paged(blocks), Chunking(size=30))
    assert first.page_content == second.page_content == f"{SENTENCE.strip()}\n\n{SENTENCE.strip()}"
    assert first.metadata["box"] == [10.0, 0.0, 101.0, 30.0]
    assert second.metadata["box"] == [12.0, 40.0, 103.0, 70.0]


def test_a_long_block_is_cut_at_sentences_and_each_part_has_its_box():
    passages = list(chunk(paged([Block(SENTENCE * 10, (1.0, 2.0, 3.0, 4.0))]), Chunking(size=50)))
    assert len(passages) > 1
    assert all(passage.page_content.endswith("season.") for passage in passages)
    assert all(passage.metadata["box"] == [1.0, 2.0, 3.0, 4.0] for passage in passages)


@pytest.mark.parametrize("overlap", [0, 10, 20])
def test_nothing_is_lost_and_sizes_hold(overlap):
    words = " ".join(f"word{number}, and" for number in range(700))
    settings = Chunking(size=40, overlap=overlap)
    passages = list(chunk(row(words), settings))
    assert all(estimate_tokens(passage.page_content) <= 40 for passage in passages)
    held = " ".join(passage.page_content for passage in passages)
    assert all(f"word{number}," in held for number in range(700))
    assert len(held) > len(words) * (1.2 if overlap else 0.99)


def test_repeated_text_with_overlap_keeps_its_places():
    blocks = [Block("same words again and again. " * 12, (0.0, 50.0 * n, 9.0, 50.0 * n + 40)) for n in range(5)]
    tops = [passage.metadata["box"][1] for passage in chunk(paged(blocks), Chunking(size=50, overlap=10))]
    assert tops == sorted(tops)


def test_the_same_document_gives_the_same_passages():
    document = paged([Block(SENTENCE * 30, (0.0, 0.0, 1.0, 1.0))])
    assert [(p.id, p.page_content) for p in chunk(document, Chunking(size=60))] == [
        (p.id, p.page_content) for p in chunk(document, Chunking(size=60))
    ]


def test_a_word_longer_than_the_size_is_cut():
    passages = list(chunk(row("A" * 2000), Chunking(size=16)))
    assert "".join(passage.page_content for passage in passages) == "A" * 2000
    assert all(estimate_tokens(passage.page_content) <= 16 for passage in passages)


def test_text_without_content_gives_no_passage():
    assert list(chunk(row(" \n "), Chunking())) == []


def test_a_tokenizer_can_count():
    passages = list(chunk(row("one two three four " * 20), Chunking(size=16), length=lambda text: len(text.split())))
    assert [len(passage.page_content.split()) for passage in passages] == [16] * 5


def test_estimate():
    assert estimate_tokens("The cat sat.") == 4
    assert estimate_tokens("internationalisation") == 3
    assert estimate_tokens("1234567") == 3
    assert estimate_tokens("小麦需要水") == 5
    assert estimate_tokens("") == 0


@pytest.mark.parametrize(
    "values", [{"size": 0}, {"size": 15}, {"overlap": -1}, {"size": 100, "overlap": 51}, {"sise": 1}]
)
def test_wrong_settings_are_refused(values):
    with pytest.raises(ValidationError):
        Chunking(**values)
